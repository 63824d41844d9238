"""What a correlation means for a producer: do the things that the model saw decide how a title will be judged?

After Armenta-Segura & Sidorov, PeerJ Computer Science 2025, e2715, who read the correlation of predicted and true
scores together with the fit of the learning curves. The limits of their bands were lost in the copy at hand; those here
are Cohen's (A power primer, Psychological Bulletin 1992), whom they name, and call .38 moderate as they do.
"""

from math import atanh, inf, sqrt

from anirec.evaluation.learning_curve import Fit

NORMAL_95 = 1.96

STRENGTHS = {0.5: "strong", 0.3: "moderate", 0.1: "weak", 0.0: "very weak"}
MEANING = {
    "very weak": "what the model saw says next to nothing of how a title will be judged",
    "weak": "what the model saw has some bearing on how a title will be judged, too vague to rely on",
    "moderate": "what the model saw matters to how a title will be judged without deciding it: "
    "something else must add the rest",
    "strong": "what the model saw largely decides how a title will be judged",
}
UNSURE = {
    "under-fit": "the model is under-fit, so that the impact of what it saw may well be larger",
    "over-fit": "the model is over-fit, so that a better one may find a larger impact of the same things",
    None: "without learning curves there is no telling how well the model fits, nor what this says of the impact",
}


def strength(correlation: float) -> str:
    """|r| in a word.

    >>> [strength(r) for r in (0.09, -0.1, 0.38, 0.5)]
    ['very weak', 'weak', 'moderate', 'strong']
    """
    return next(word for limit, word in STRENGTHS.items() if abs(correlation) >= limit)


def may_be_chance(correlation: float, n: int) -> bool:
    """Whether Fisher's 95 % interval of a correlation of n independent pairs holds 0.

    >>> may_be_chance(0.3, 20), may_be_chance(0.3, 200), may_be_chance(1.0, 3)
    (True, False, True)
    """
    return n <= 3 or (atanh(abs(correlation)) if abs(correlation) < 1 else inf) * sqrt(n - 3) < NORMAL_95


def reading(pearson: float, spearman: float, fit: Fit | None, *, n: int) -> str:
    """One sentence on the impact of what the model saw; the lower of both correlations gives the word.

    Args:
        pearson: Of predicted and true test scores.
        spearman: Of the same.
        fit: How the learning curves look.
        n: Number of franchises, or titles, that vary independently.

    >>> reading(0.382, 0.362, "good", n=200).partition(": ")[0]
    'Predicted and true test scores correlate moderately (Pearson 0.38, Spearman 0.36) and the fit is good'
    """
    weaker = strength(min(abs(pearson), abs(spearman)))
    found = f"Predicted and true test scores correlate {weaker}ly (Pearson {pearson:.2f}, Spearman {spearman:.2f})"
    if min(pearson, spearman) < 0:
        return f"{found}: a model that gets the order backwards shows no impact of what it saw."
    if may_be_chance(min(pearson, spearman), n):
        return f"{found}: in {n} franchises this may be chance, and shows no impact of what the model saw."
    return f"{found} and the fit is good: {MEANING[weaker]}." if fit == "good" else f"{found}, but {UNSURE[fit]}."
