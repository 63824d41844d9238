"""Metric definitions: name, direction and function of each metric, declared where the function is defined.

Evaluation, comparison and configuration checks look metrics up by name in `DECLARED`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anirec.metrics.variation import to_float64

FloatColumn = NDArray[np.floating]
UserValues = NDArray[np.float64]  # (U,), one value per user
Better = Literal["lower", "higher"]
Kind = Literal["rating", "score", "ranking", "lists", "users"]
ROW_KINDS = frozenset({"rating", "score"})
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """A declared metric.

    Attributes:
        name: Name as logged, without split and `@k`.
        kind: Input of `function`: `rating` takes predictions and targets; `score` also the span of the training scores;
            `ranking` the hits of every user; `lists` the recommended items of every user; `users` also what these users
            have seen and would choose. The last three need an `@k`.
        lower_is_better: Whether lower values are better.
        function: The pure function, the `RowMetric` or the `OrderMetric`; see `rating.py`, `rank_correlation.py`,
            `ranking.py`, `beyond_accuracy.py`.
        needs: The column of the data without which the metric is undefined; "" for none.
    """

    name: str
    kind: Kind
    lower_is_better: bool
    function: Any
    needs: str = ""

    @property
    def needs_k(self) -> bool:
        return self.kind not in ROW_KINDS


DECLARED: dict[str, Metric] = {}

# Directions of logged metrics that are not declared; None where neither is better: for intervals that promise 90 %
# coverage, 95% is no better than 85%.
UNDECLARED: dict[str, Better | None] = {
    "bias": None,
    "interval_coverage": None,
    "interval_half_width": "lower",
    "interval_width": "lower",
}
# Logged values that do not measure a model: row counts, errors of constant predictions, best reachable values.
COUNTS = ("unknown_users", "unknown_items", "n_")
CONSTANTS = "by_"
REACHABLE = ("floor", "ceiling")


def declare(kind: Kind, *, better: Better, name: str = "", needs: str = "") -> Callable[[Function], Function]:
    """Return a decorator that declares a function as a metric, under its own name unless `name` is given."""

    def add(function: Function) -> Function:
        known_as = name or function.__name__
        DECLARED[known_as] = Metric(known_as, kind, better == "lower", function, needs)
        return function

    return add


class RowMetric:
    """A metric of evaluated rows that can be computed from sums over the rows.

    `terms(*columns)` returns the quantities to sum; `value(n, *sums)` returns the metric, NaN where it is undefined.
    Both use only operators and `min`, so that one definition works for arrays, resampled sums of any shape (see
    `resampling.py`), tensors and Polars expressions. For arrays use `summands`, which treats columns that vary only by
    rounding as constant.

    Args:
        name: Name as logged.
        better: Whether lower or higher values are better.
        columns: Arguments of `terms`. A metric with `span`, the distance in points between the lowest and the highest
            training score, has kind `score`.
        terms: Returns the quantities to sum.
        value: Returns the metric from the number of rows and the sums.
    """

    def __init__(
        self,
        name: str,
        *,
        better: Better,
        columns: tuple[str, ...] = ("prediction", "target"),
        terms: Callable[..., tuple[Any, ...]],
        value: Callable[..., Any],
    ) -> None:
        self.name, self.columns, self.terms, self.value = name, columns, terms, value
        DECLARED[name] = Metric(name, "score" if "span" in columns else "rating", better == "lower", self)

    def __call__(self, *columns: ArrayLike) -> float:
        """Compute the metric of (n,) columns, of which a constant one may be a number; NaN if undefined."""
        if not min(map(np.size, columns)):
            return float("nan")
        n = max(map(np.size, columns))
        sums = [np.asarray(term.sum()) for term in self.summands(*columns)]
        value = float(self.value(np.float64(n), *sums))
        return value if np.isfinite(value) else float("nan")

    def summands(self, *columns: ArrayLike) -> tuple[FloatColumn, ...]:
        """Return the quantities to sum, float64 (n,) each, from columns in their original precision."""
        return self.terms(*map(to_float64, columns))


class OrderMetric:
    """A metric that depends on the order of predictions and targets and cannot be computed from sums over rows.

    Args:
        name: Name as logged.
        better: Whether lower or higher values are better.
        value: Computes the metric of two (n,) columns; NaN where it is undefined.
        resampled: Computes the metric of B resamples, (B,), from the two columns and `counts_bn` (B, n), how often each
            row was drawn in each resample.
    """

    columns = ("prediction", "target")

    def __init__(
        self,
        name: str,
        *,
        better: Better,
        value: Callable[[FloatColumn, FloatColumn], float],
        resampled: Callable[[FloatColumn, FloatColumn, NDArray[np.integer]], NDArray[np.float64]],
    ) -> None:
        self.name, self.value, self.resampled = name, value, resampled
        DECLARED[name] = Metric(name, "rating", better == "lower", self)

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> float:
        return self.value(to_float64(prediction), to_float64(target))
