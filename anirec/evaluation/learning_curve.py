"""Learning curves: training and validation error of every epoch, and whether they show a good fit.

All errors are mean squared errors on the unit scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

Fit = Literal["under-fit", "good", "over-fit"]
LEARNED = 0.05  # of the constant's error: less than this is nothing
CARRIED_OVER = 0.5  # of what was learned, to titles not seen
RISE = 0.1  # of the error: more than noise


@dataclass
class Curves:
    """Errors by epoch, counted from 0. A model that is solved at once has one epoch."""

    train: dict[int, float] = field(default_factory=dict)
    val: dict[int, float] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        return {"train": dict(self.train), "val": dict(self.val)}

    def restore(self, state: dict[str, Any]) -> None:
        """Add what a checkpoint remembers; what this process saw itself counts more, and may go further."""
        self.train, self.val = {**state["train"], **self.train}, {**state["val"], **self.val}

    def table(self) -> pl.DataFrame:
        """epoch, train, val of every epoch; null where one was not measured."""
        epochs = sorted({*self.train, *self.val})
        columns = {name: [errors.get(epoch) for epoch in epochs] for name, errors in self.state().items()}
        return pl.DataFrame(
            {"epoch": epochs, **columns}, schema={"epoch": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
        )

    def verdict(self, constant: float) -> Fit | None:
        """See `verdict`; None without validation errors."""
        measured = self.table().drop_nulls("val")
        return verdict(measured["train"].to_list(), measured["val"].to_list(), constant) if len(measured) else None

    def described(self, fit: Fit, constant: float) -> str:
        """One sentence, with the errors that the verdict stands on."""
        best = min(self.val, key=self.val.__getitem__)
        at = f" at epoch {best + 1} of {max(self.val) + 1}, the lowest" if len(self.val) > 1 else ""
        train = f", {self.train[best]:.4f} on the training titles" if best in self.train else ""
        return (
            f"Learning curves: {fit}{' fit' if fit == 'good' else ''}. Mean squared error on scores scaled to 0-1: "
            f"{self.val[best]:.4f} on the validation titles{at}{train}; {constant:.4f} without seeing anything."
        )


def verdict(train: Sequence[float | None], val: Sequence[float], constant: float) -> Fit:
    """Under-fit, good or over-fit.

    `constant` is the error of the best model that sees nothing. What a model is better than that, it has learned. Read
    at the epoch of the lowest validation error, the first of these that holds decides:

    1. under-fit: it learned less than 5 % of the constant's error, even of the titles it trained on;
    2. over-fit: less than half of what it learned of its training titles carries over to the validation titles;
    3. over-fit: training went on until the validation error had risen by more than a tenth of its lowest value;
    4. under-fit: the last epoch lowered both errors by more than a tenth: training ended too soon;
    5. good.

    Args:
        train: Training error of each epoch, None where unknown: then 1 looks at validation alone, 2 and 4 are left out.
        val: Validation error of each epoch; at least one.
        constant: Error of predicting the training mean for every validation title.

    >>> verdict([0.0119, 0.0100, 0.0090], [0.0114, 0.0104, 0.0102], constant=0.0120)
    'good'
    >>> verdict([0.0110, 0.0060, 0.0020], [0.0110, 0.0112, 0.0140], constant=0.0120)   # learns by heart
    'over-fit'
    >>> verdict([0.0121, 0.0119], [0.0121, 0.0120], constant=0.0120)
    'under-fit'
    >>> verdict([0.0040], [0.0100], constant=0.0120)   # solved at once: two thirds learned, a sixth carried over
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
    """Whether the last epoch lowered the error by more than a tenth."""
    before, last = errors[-2:] if len(errors) > 1 else (None, None)
    return before is not None and last is not None and last < (1 - RISE) * before
