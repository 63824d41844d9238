"""Tested gains: whether a model's test metric is better than that of a dummy, which knows the training targets only.

The difference is resampled over independent units (franchises of titles, users, posts), with the same draws for both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.definition import DECLARED, RowMetric, UserValues
from anirec.metrics.resampling import FEWEST_ROWS, FEWEST_UNITS, percentile_interval, resampled_sums


@dataclass(frozen=True)
class Gain:
    """The metric of a model and of a dummy on the same test rows.

    Attributes:
        metric: Name as printed, such as RMSE.
        model: Value of the model.
        dummy: Value of the dummy.
        interval: 95% interval of model - dummy.
        sign: 1 if higher values are better, -1 if lower ones are.
        unit: Name of the resampled units, in the plural.
        n_units: Number of units.
        n_rows: Number of rows, or of lists.
    """

    metric: str
    model: float
    dummy: float
    interval: tuple[float, float]
    sign: int
    unit: str
    n_units: int
    n_rows: int

    @property
    def is_small(self) -> bool:
        """Whether there are too few units or rows for an interval."""
        return self.n_units < FEWEST_UNITS or self.n_rows < FEWEST_ROWS

    @property
    def is_equal(self) -> bool:
        """Whether both values and the ends of the interval are equal in the printed digits."""
        return all(f"{abs(difference):.3f}" == "0.000" for difference in (self.model - self.dummy, *self.interval))

    @property
    def is_shown(self) -> bool:
        """Whether the model is better than the dummy in the whole interval."""
        return not self.is_equal and not self.is_small and min(self.sign * end for end in self.interval) > 0

    @property
    def is_loss(self) -> bool:
        """Whether the model is worse than the dummy in the whole interval."""
        return not self.is_equal and not self.is_small and max(self.sign * end for end in self.interval) < 0

    def sentence(self, dummy: str, *, rows: str) -> str:
        """Return one sentence with both values and the interval of their difference.

        Args:
            dummy: Name of the dummy, such as "the training mean".
            rows: What was evaluated, such as "200 test titles".

        >>> gain = Gain("RMSE", 0.8, 1.0, (-0.25, -0.15), -1, "franchises", 90, 120)
        >>> print(gain.sentence("the training mean", rows="120 test titles"))
        Better than the training mean: RMSE 0.800 on 120 test titles, 20.0% lower than 1.000 (95% interval of the \
difference -0.250 to -0.150, over 90 franchises).
        """
        if self.is_equal:
            return f"Equal to {dummy}: {self.metric} {self.model:.3f} on {rows}."
        low, high = (0.0 if f"{end:.3f}" == "-0.000" else end for end in self.interval)
        interval = f"(95% interval of the difference {low:.3f} to {high:.3f}, over {self.n_units:,} {self.unit})"
        if self.is_small:
            interval = f"({self.n_units:,} {self.unit}: too few for an interval or a conclusion)"
        verdict = "Better than" if self.is_shown else "Worse than" if self.is_loss else "No significant difference from"
        return (
            f"{'Beside' if self.is_small else verdict} {dummy}: {self.metric} {self.model:.3f} on {rows}, "
            f"{relative_difference(self.model, self.dummy)} {self.dummy:.3f} {interval}."
        )


def row_gain(metric: RowMetric, prediction: Any, dummy: Any, target: Any, *, unit: Any, unit_name: str) -> Gain:
    """Test a metric of rows.

    Args:
        metric: The metric.
        prediction: Predictions of the model, (n,).
        dummy: Predictions of the dummy, (n,), or one number.
        target: True values, (n,).
        unit: Any value per row that is equal for rows of one unit, (n,).
        unit_name: Name of the units.
    """
    index = np.unique(unit, return_inverse=True)[1]
    ones = np.ones(len(index))

    def sums_us(predicted: Any) -> NDArray[np.float64]:
        terms = ones, *metric.summands(predicted, target)
        return np.stack([np.bincount(index, weights=term).astype(np.float64) for term in terms], axis=1)

    ours, theirs = sums_us(prediction), sums_us(np.broadcast_to(dummy, np.shape(target)))
    return resampled_gain(metric.name, metric.value, ours, theirs, unit_name, n_rows=len(index))


def list_gain(name: str, ours_u: UserValues, theirs_u: UserValues, *, shown_as: str) -> Gain:
    """Test a ranking metric, from its value for each user, (U,) each."""
    ours, theirs = (np.stack([np.ones(len(values_u)), values_u], axis=1) for values_u in (ours_u, theirs_u))
    return resampled_gain(
        name, lambda n, total: total / n, ours, theirs, "users", n_rows=len(ours_u), shown_as=shown_as
    )


def resampled_gain(
    name: str,
    value: Callable[..., Any],
    ours_us: NDArray[np.float64],
    theirs_us: NDArray[np.float64],
    unit: str,
    *,
    n_rows: int,
    shown_as: str = "",
) -> Gain:
    """Test the difference of a metric that is a function of sums, from the statistics of each unit, (U, s)."""
    n_columns = ours_us.shape[1]
    both_us = np.hstack([ours_us, theirs_us])
    model, dummy = (float(value(*sums)) for sums in np.split(both_us.sum(axis=0), [n_columns]))
    sums_bs = resampled_sums(both_us)
    with np.errstate(invalid="ignore"):
        difference_b = value(*sums_bs[:, :n_columns].T) - value(*sums_bs[:, n_columns:].T)
    sign = -1 if DECLARED[name].lower_is_better else 1
    interval = percentile_interval(difference_b)
    return Gain(shown_as or name.upper(), model, dummy, interval, sign, unit, len(ours_us), n_rows)


def relative_difference(value: float, other: float) -> str:
    """Return in words how a value differs from another.

    >>> relative_difference(0.9, 1.0), relative_difference(0.5, 0.0), relative_difference(0.5, 0.5)
    ('10.0% lower than', 'higher than', 'the same as')
    >>> relative_difference(0.39, 0.01), relative_difference(0.25, 0.1)
    ('39 times', '2.5 times')
    """
    if f"{value:.3f}" == f"{other:.3f}":
        return "the same as"
    if other > 0 and (ratio := value / other) >= 2:
        return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
    share = f"{abs(1 - value / other):.1%} " if other else ""
    return f"{share}{'lower' if value < other else 'higher'} than"
