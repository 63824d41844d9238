"""What a metric is: a name, a direction and a function. Each is declared once, where it is defined.

Evaluation, comparison and configuration checks all find it here by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anirec.metrics.variation import settled

Column = NDArray[np.floating]
Better = Literal["lower", "higher"]
Kind = Literal["rating", "score", "ranking", "lists"]
ROW_KINDS = frozenset({"rating", "score"})
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """A declared metric.

    Attributes:
        name: As logged, without split and `@k`.
        kind: What `function` takes: `rating` predictions and targets, `score` also the span of the training scores,
            `ranking` the hits of every user, `lists` the recommended items of every user. The last two need an `@k`.
        lower_is_better: Its direction.
        function: The pure function, the `RowMetric` or the `OrderMetric`; see `rating.py`, `rank_correlation.py`,
            `ranking.py`, `beyond_accuracy.py`.
    """

    name: str
    kind: Kind
    lower_is_better: bool
    function: Any

    @property
    def needs_k(self) -> bool:
        return self.kind not in ROW_KINDS


DECLARED: dict[str, Metric] = {}

# What evaluations log beside the declared metrics, and which direction of it is better; None for neither: of intervals
# that promise 90 %, 95 % coverage is no better than 85 %.
BESIDE: dict[str, Better | None] = {
    "bias": None,
    "interval_coverage": None,
    "interval_half_width": "lower",
    "interval_width": "lower",
}
# What is logged with metrics and measures no model: counts of rows, the error of constants, the best reachable value.
COUNTS = ("unknown_users", "unknown_items", "n_")
CONSTANTS = "by_"
REACHABLE = ("floor", "ceiling")


def declare(kind: Kind, *, better: Better, name: str = "") -> Callable[[Function], Function]:
    """Declare the decorated function a metric, under its own name unless another is given."""

    def add(function: Function) -> Function:
        known_as = name or function.__name__
        DECLARED[known_as] = Metric(known_as, kind, better == "lower", function)
        return function

    return add


class RowMetric:
    """A metric of the columns of evaluated rows that is a function of sums over them.

    `terms(*columns)` gives what is summed, `value(n, *sums)` the metric, NaN where it is undefined. Both use operators
    and `min` alone, so that one definition serves arrays, resampled sums of any shape (see `bootstrap.py`), tensors and
    Polars expressions. Of arrays, take `summands`: what varies by rounding alone is constant there.

    Args:
        name: As logged.
        better: Its direction.
        columns: What `terms` takes; with `span`, the points from the lowest to the highest training score, it is a
            metric of kind `score`.
        terms: What is summed.
        value: The metric, from the number of rows and the sums.
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
        """The metric of (n,) columns, of which a constant one may be a number, summed in float64; NaN if undefined."""
        if not min(map(np.size, columns)):
            return float("nan")
        n = max(map(np.size, columns))
        sums = [np.asarray(term.sum()) for term in self.summands(*columns)]
        value = float(self.value(np.float64(n), *sums))
        return value if np.isfinite(value) else float("nan")

    def summands(self, *columns: ArrayLike) -> tuple[Column, ...]:
        """What is summed, float64 (n,) each, of columns in the precision that they came in."""
        return self.terms(*map(settled, columns))


class OrderMetric:
    """A metric of predictions and targets that depends on the order of the rows' values: no function of sums.

    Args:
        name: As logged.
        better: Its direction.
        value: The metric of two (n,) columns; NaN where it is undefined.
        resampled: The metric in B resamples, (B,), from the two columns and counts_bn (B, n), how often a row counts.
    """

    columns = ("prediction", "target")

    def __init__(
        self,
        name: str,
        *,
        better: Better,
        value: Callable[[Column, Column], float],
        resampled: Callable[[Column, Column, NDArray[np.integer]], NDArray[np.float64]],
    ) -> None:
        self.name, self.value, self.resampled = name, value, resampled
        DECLARED[name] = Metric(name, "rating", better == "lower", self)

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> float:
        return self.value(settled(prediction), settled(target))
