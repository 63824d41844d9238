"""An explanation on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from anirec.inference.explain.explanation import Explanation
from anirec.inference.explain.overall import FEWEST_USES, Overall, stability
from anirec.inference.new_titles.reception import number_table
from anirec.printable import clean

N_WORDS = 8  # in each direction
N_CHARACTERS = 10
N_OVERALL = 20
PLACES = 2


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Print score, contributions, words, characters and similar titles, in 80 columns."""
    for part in [*summary(explanation), *modality_table(explanation)]:
        console.print(part, markup=False)
    for part in [*word_lines(explanation), *character_table(explanation), *similar_table(explanation)]:
        console.print(part, markup=False)
    for note in explanation.notes:
        console.print(note, markup=False)


def print_overall(found: Sequence[Overall], names: Sequence[str], console: Console) -> None:
    """Print what matters over the test titles of each run, and how stable it is over the runs."""
    for one, name in zip(found, names, strict=True):
        console.print(f"{name}: {one.n_titles} test titles", markup=False)
        table = number_table("modality", "standard deviation of its contribution")
        for modality, spread in one.modalities.items():
            table.add_row(Text(modality), f"{spread:.{PLACES}f}")
        words = number_table("word", "titles with it", "mean effect there", "importance")
        for term, n, effect, importance in one.words.head(N_OVERALL).iter_rows():
            words.add_row(Text(clean(term)), f"{n}", f"{effect:+.3f}", f"{importance:.3f}")
        for part in (table, "", words, ""):
            console.print(part)
    if len(found) > 1:
        console.print(
            f"Rank correlation of the words' mean effects between runs: {stability(found):.2f} (words in at least "
            f"{FEWEST_USES} titles of both)",
            markup=False,
        )


def summary(explanation: Explanation) -> list[str]:
    """Return the title, the predicted score and the true one if it is known."""
    interval = f" ({explanation.interval})" if explanation.interval else ""
    lines = [f"{clean(explanation.title)}  [{explanation.about}]", f"Predicted score {explanation.score:.2f}{interval}"]
    if explanation.known_as:
        part, true = explanation.known_as
        read = "; the model was trained on this title" if part == "train" else ""
        lines.append(f"True score {true:.2f}, a title of {part}{read}")
    return [*lines, f"Mean score of the training titles {explanation.mean_score:.2f}", ""]


def modality_table(explanation: Explanation) -> list[object]:
    """Return the table of modalities, whose effects sum to the predicted score."""
    table = number_table("points of", "this title", "average title", "difference")
    nothing = signed_row(explanation.nothing, typical_nothing(explanation), sign="")
    table.add_row("a title of which nothing is known", *nothing)
    for modality in explanation.modalities:
        name = modality.name if modality.is_present else f"{modality.name}: missing"
        table.add_row(Text(name), *signed_row(modality.effect, modality.average))
    table.add_row("predicted score", *signed_row(explanation.score, explanation.baseline, sign=""))
    return [table, ""]


def typical_nothing(explanation: Explanation) -> float:
    """Return the mean prediction for the training titles if nothing were known of them."""
    return explanation.baseline - sum(modality.average for modality in explanation.modalities)


def signed_row(value: float, average: float, *, sign: str = "+") -> list[str]:
    return [f"{value:{sign}.{PLACES}f}", f"{average:{sign}.{PLACES}f}", signed(value - average)]


def signed(value: float) -> str:
    return f"{round(value, PLACES) + 0.0:+.{PLACES}f}"


def word_lines(explanation: Explanation) -> list[str]:
    """Return the words, phrases and facts with the largest effects in both directions."""
    found = [*explanation.terms().items(), *explanation.facts.items()]
    lines = []
    for what, some in (
        ("Raise the score", sorted((pair for pair in found if pair[1] > 0), key=lambda pair: -pair[1])),
        ("Lower the score", sorted((pair for pair in found if pair[1] < 0), key=lambda pair: pair[1])),
    ):
        if some:
            lines.append(f"{what}: " + ", ".join(f"{clean(term)} {effect:+.3f}" for term, effect in some[:N_WORDS]))
    return [*lines, ""] if lines else []


def character_table(explanation: Explanation) -> list[object]:
    """Return the table of the characters with the largest effects; empty if the model joins them."""
    if not explanation.characters:
        return []
    branches: Sequence[str] = list(explanation.characters[0].effects)
    table = number_table("character", *branches, *(["sum"] if len(branches) > 1 else []))
    strongest = sorted(explanation.characters, key=lambda one: -abs(one.effect))
    for one in strongest[:N_CHARACTERS]:
        values = [one.effects.get(name, 0.0) for name in branches]
        table.add_row(Text(clean(one.name)), *map(signed, [*values, *([one.effect] if len(branches) > 1 else [])]))
    rest = strongest[N_CHARACTERS:]
    return [table, *([f"and {len(rest)} more: {signed(sum(one.effect for one in rest))}"] if rest else []), ""]


def similar_table(explanation: Explanation) -> list[object]:
    """Return the table of the most similar training titles."""
    table = number_table("most similar training titles", "similarity", "score")
    for one in explanation.similar:
        table.add_row(Text(clean(one.title)), f"{one.similarity:.2f}", f"{one.score:.2f}")
    return [table]
