"""Findings about predicted scores: what the learning curves show, and how strongly the inputs are related to the score.

After Armenta-Segura & Sidorov, PeerJ Computer Science 2025, e2715, who interpret the correlation of predicted and true
scores together with the learning curves. Their limits between weak, moderate and strong are not in the copy at hand;
the limits used here are those of Cohen (A power primer, Psychological Bulletin 1992), whom they cite. With these, .38
is moderate, as it is in their paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

Fit = Literal["under-fit", "good", "over-fit"]
LEARNED = 0.05  # share of the constant's error; a smaller gain counts as none
CARRIED_OVER = 0.5  # share of the gain on training titles that must carry over to validation titles
RISE = 0.1  # relative change of the error that counts as more than noise


@dataclass
class Curves:
    """Training and validation error by epoch, counted from 0. A model solved in closed form has one epoch."""

    train: dict[int, float] = field(default_factory=dict)
    val: dict[int, float] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        return {"train": dict(self.train), "val": dict(self.val)}

    def restore(self, state: dict[str, Any]) -> None:
        """Add the epochs of a checkpoint; epochs that this process has measured itself take precedence."""
        self.train, self.val = {**state["train"], **self.train}, {**state["val"], **self.val}

    def table(self) -> pl.DataFrame:
        """Return epoch, train and val of every epoch; null where an error was not measured."""
        epochs = sorted({*self.train, *self.val})
        columns = {name: [errors.get(epoch) for epoch in epochs] for name, errors in self.state().items()}
        return pl.DataFrame(
            {"epoch": epochs, **columns}, schema={"epoch": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
        )

    def fit(self, constant: float) -> Fit | None:
        """Judge the fit, see `judge_fit`; None without at least two validation errors, such as of a closed form."""
        measured = self.table().drop_nulls("val")
        if len(measured) < 2:
            return None
        return judge_fit(measured["train"].to_list(), measured["val"].to_list(), constant)

    def describe(self, fit: Fit, constant: float, *, is_gain: bool) -> str:
        """Return the fit, the errors it is based on, and what to do; without a tested gain no fit is called good."""
        best = min(self.val, key=self.val.__getitem__)
        train = f", {self.train[best]:.4f} on the training titles" if best in self.train else ""
        verdict = "" if fit == "good" and not is_gain else f" {fit}{' fit' if fit == 'good' else ''}."
        return (
            f"Learning curves:{verdict} Mean squared error of scores scaled to 0-1: {self.val[best]:.4f} on the "
            f"validation titles (lowest, at epoch {best + 1} of {max(self.val) + 1}){train}; {constant:.4f} when "
            f"always predicting the training mean.{ADVICE[fit]}"
        )


ADVICE = {
    "under-fit": " Train longer (model.training.epochs), or with a higher learning rate.",
    "over-fit": " Regularise more (model.training.weight_decay, model.dropout), train fewer epochs "
    "(callbacks=early_stopping), or freeze the encoders (encoders.frozen=true).",
    "good": "",
}


def judge_fit(train: Sequence[float | None], val: Sequence[float], constant: float) -> Fit:
    """Judge learning curves: under-fit, good or over-fit.

    `constant` is the error of the best constant prediction. What a model has learned is how much lower its error is. At
    the epoch with the lowest validation error, the first rule that holds decides:

    1. under-fit: even on the training titles, the model learned less than 5% of the constant's error;
    2. over-fit: less than half of what it learned on the training titles carries over to validation;
    3. over-fit: by the last epoch, the validation error had risen more than 10% above its lowest value;
    4. under-fit: the last epoch lowered both errors by more than 10%: training stopped too early;
    5. good.

    Args:
        train: Training error of each epoch, None where unknown. Then rule 1 uses the validation error, and 2 and 4 are
            skipped.
        val: Validation error of each epoch; at least one.
        constant: Validation error of always predicting the training mean.

    >>> judge_fit([0.0119, 0.0100, 0.0090], [0.0114, 0.0104, 0.0102], constant=0.0120)
    'good'
    >>> judge_fit([0.0110, 0.0060, 0.0020], [0.0110, 0.0112, 0.0140], constant=0.0120)   # memorises the training titles
    'over-fit'
    >>> judge_fit([0.0121, 0.0119], [0.0121, 0.0120], constant=0.0120)
    'under-fit'
    >>> judge_fit([0.0040], [0.0100], constant=0.0120)   # one epoch: gains 2/3 in training, 1/6 in validation
    'over-fit'
    """
    best = int(np.argmin(val))
    of_val, of_train = constant - val[best], train[best]
    learned = of_val if of_train is None else constant - of_train
    if learned <= LEARNED * constant:
        return "under-fit"
    if of_val < CARRIED_OVER * learned or val[-1] > (1 + RISE) * val[best]:
        return "over-fit"
    return "under-fit" if still_falls(train) and still_falls(val) else "good"


def still_falls(errors: Sequence[float | None]) -> bool:
    """Return whether the last epoch lowered the error by more than 10%."""
    before, last = errors[-2:] if len(errors) > 1 else (None, None)
    return before is not None and last is not None and last < (1 - RISE) * before


STRENGTHS = {0.5: "strong", 0.3: "moderate", 0.1: "weak", 0.0: "very weak"}
MEANING = {
    "very weak": "the model's inputs predict next to nothing of a title's score",
    "weak": "the model's inputs predict a small part of a title's score, too little to rely on",
    "moderate": "the model's inputs predict a part of a title's score without deciding it; "
    "other factors must account for the rest",
    "strong": "the model's inputs predict a large part of a title's score",
}


def strength(correlation: float) -> str:
    """Return the word for a correlation's absolute value.

    >>> [strength(r) for r in (0.09, -0.1, 0.38, 0.5)]
    ['very weak', 'weak', 'moderate', 'strong']
    """
    return next(word for limit, word in STRENGTHS.items() if abs(correlation) >= limit)


def impact_sentence(pearson: float, spearman: float) -> str:
    """Return one sentence on how the inputs of a model with a tested gain are related to the score.

    The weaker of the two correlations of predicted and true test scores sets the word.

    >>> impact_sentence(0.382, 0.362).partition(": ")[0]
    'Predicted and true test scores correlate moderately (Pearson 0.38, Spearman 0.36)'
    """
    weaker = strength(max(0.0, min(pearson, spearman)))
    found = f"Predicted and true test scores correlate {weaker}ly (Pearson {pearson:.2f}, Spearman {spearman:.2f})"
    return f"{found}: {MEANING[weaker]}."
