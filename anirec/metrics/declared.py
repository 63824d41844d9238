"""What a metric is: a name, a direction and a function. Each is declared once, where it is defined.

Evaluation, comparison and configuration checks all find it here by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Better = Literal["lower", "higher"]
Kind = Literal["rating", "ranking", "lists"]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """A declared metric.

    Attributes:
        name: As logged, without split and `@k`.
        kind: What `function` takes: `rating` two columns of ratings, `ranking` the hits of every user,
            `lists` the recommended items of every user. The last two need an `@k`.
        lower_is_better: Its direction.
        function: The pure function, or the `RowMetric`; see `rating.py`, `ranking.py`, `beyond_accuracy.py`.
    """

    name: str
    kind: Kind
    lower_is_better: bool
    function: Any

    @property
    def needs_k(self) -> bool:
        return self.kind != "rating"


DECLARED: dict[str, Metric] = {}


def declare(kind: Kind, *, better: Better, name: str = "") -> Callable[[Function], Function]:
    """Declare the decorated function a metric, under its own name unless another is given."""

    def add(function: Function) -> Function:
        known_as = name or function.__name__
        DECLARED[known_as] = Metric(known_as, kind, better == "lower", function)
        return function

    return add


class RowMetric:
    """A metric of predictions and targets that is a function of sums over rows.

    `terms(prediction, target)` gives what is summed, `value(n, *sums)` the metric. Both use operators alone, so that
    one definition serves arrays, resampled sums of any shape (see `bootstrap.py`), tensors and Polars expressions.
    """

    def __init__(self, name: str, *, better: Better, terms: Callable[..., tuple[Any, ...]], value: Callable[..., Any]):
        self.name, self.terms, self.value = name, terms, value
        DECLARED[name] = Metric(name, "rating", better == "lower", self)

    def __call__(self, prediction: NDArray[Any], target: NDArray[Any]) -> float:
        """The metric of two (n,) columns, summed in float64; NaN where it is undefined."""
        rows = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
        sums = [np.asarray(term.sum()) for term in self.terms(*rows)]
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(self.value(np.float64(len(rows[0])), *sums))
        return value if np.isfinite(value) else float("nan")
