"""How much of a metric's variance each setting explains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.report.settings import brief

FOREST_FROM = 8  # groups; fewer teach a forest nothing


@dataclass(frozen=True)
class Importance:
    """Shares by key, in the order of the keys, and how they were found."""

    shares: list[float]
    method: str


def importance(values: Sequence[Sequence[Any]], metric: Sequence[float]) -> Importance:
    """The importance of each key for a metric.

    Args:
        values: For each key its value in each group.
        metric: (n_groups,).

    From eight groups on: how much worse a random forest explains the metric once a key's values are shuffled among the
    groups (permutation importance; Breiman 2001), as shares of 1. Below: the share of the metric's variance that lies
    between the values of a key; keys that change together then share the credit, and shares need not add up to 1.

    >>> importance([[1, 1, 2, 2], ["a", "b", "a", "b"]], [1.0, 1.1, 2.0, 2.1]).shares
    [0.99, 0.01]
    """
    means = np.asarray(metric, np.float64)
    if len(means) < FOREST_FROM:
        return Importance([between(one, means) for one in values], "share of variance")
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    columns = np.stack([as_numbers(one) for one in values], axis=1)
    forest = RandomForestRegressor(n_estimators=200, random_state=0).fit(columns, means)
    found = permutation_importance(forest, columns, means, n_repeats=20, random_state=0)
    lost = np.maximum(found.importances_mean, 0.0)
    return Importance(rounded(lost / (lost.sum() or 1.0)), "permutation importance in a random forest")


def between(values: Sequence[Any], metric: NDArray[np.float64]) -> float:
    """The share of the variance that the means of equal values have."""
    names = np.asarray([brief(value) for value in values])
    total = float(((metric - metric.mean()) ** 2).sum())
    parts = [metric[names == name] for name in np.unique(names)]
    explained = sum(len(part) * (part.mean() - metric.mean()) ** 2 for part in parts)
    return rounded([explained / total if total else 0.0])[0]


def as_numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers as they are, anything else by the order of its text."""
    if all(isinstance(value, int | float) for value in values):
        return np.asarray(values, np.float64)
    names = [brief(value) for value in values]
    order = sorted(set(names))
    return np.asarray([order.index(name) for name in names], np.float64)


def rounded(shares: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [round(float(share), 3) for share in shares]
