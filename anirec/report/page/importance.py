"""Importance of settings: how much worse a metric is predicted for held-out configurations once a setting is shuffled.

A row is a configuration: its seeds and folds are averaged, so that no configuration is both learned from and predicted.
Kernel ridge regression predicts the metric of every tenth of the configurations from the others. Importance is given
only if these predictions are better than the mean, and better than 95 % of the predictions of permuted metrics
(permutation test: Ojala & Garriga, Permutation Tests for Studying Classifier Performance, JMLR 2010).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.resampling import LEVEL
from anirec.report.formatting import brief

FEWEST = 8  # configurations
FOLDS = 10
PERMUTATIONS = 199  # of the metric
SHUFFLES = 20  # of each setting
REGULARISATION = 0.1  # of kernel ridge; the kernel of a configuration with itself is 1
Columns = NDArray[np.float64]
Model = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def importance(values: Sequence[Sequence[Any]], metric: Sequence[float]) -> list[float] | None:
    """Return the importance of each setting in units of the metric; None if the settings do not predict it.

    The importance of a setting is by how much the root mean squared error of the held-out predictions rises when the
    setting's values are shuffled among the configurations (permutation importance: Breiman, Random Forests, 2001).

    Args:
        values: For each setting its value in each configuration.
        metric: Of each configuration, (n_configurations,). Fewer than `FEWEST` predict nothing.

    >>> lr, noise = [1, 2, 3, 4] * 3, ["a", "b", "c"] * 4
    >>> [round(rise, 3) for rise in importance([lr, noise], [0.1, 0.2, 0.3, 0.4] * 3)]
    [0.132, 0.0]
    >>> importance([lr, noise], [0.4, 0.1, 0.3, 0.3, 0.2, 0.2, 0.1, 0.4, 0.3, 0.1, 0.4, 0.2]) is None
    True
    """
    if len(metric) < FEWEST:
        return None
    target = np.asarray(metric, np.float64)
    target = target - target.mean()
    columns = np.stack([levels(one) for one in values], axis=1)
    if not is_predictable(columns, target):
        return None
    models, random = fitted(columns, target), np.random.default_rng(0)
    error = rms(target - held_out(models, columns, columns))
    found = []
    for setting in range(len(values)):
        errors = []
        for _ in range(SHUFFLES):
            shuffled = columns.copy()
            random.shuffle(shuffled[:, setting])
            errors.append(rms(target - held_out(models, columns, shuffled)))
        found.append(max(0.0, float(np.mean(errors)) - error))
    return found


def is_predictable(columns: Columns, target: Columns) -> bool:
    """Whether held-out configurations are predicted better than by the mean, and better than chance allows.

    Args:
        columns: (n_configurations, n_settings).
        target: Metric less its mean, (n_configurations,).
    """
    random = np.random.default_rng(0)
    permuted = np.stack([target, *(random.permutation(target) for _ in range(PERMUTATIONS))], axis=1)
    error = ((permuted - held_out(fitted(columns, permuted), columns, columns)) ** 2).sum(axis=0)
    return bool(error[0] < (target**2).sum() and (error <= error[0]).mean() <= LEVEL)


def fitted(columns: Columns, target: Columns) -> list[Model]:
    """One model a fold, kernel ridge regression: the fold's rows, the other rows, and coefficients of the latter.

    Args:
        columns: (n_configurations, n_settings).
        target: One target, (n_configurations,), or several, (n_configurations, n_targets).
    """
    order, models = np.random.default_rng(0).permutation(len(target)), []
    for fold in np.array_split(order, min(FOLDS, len(order))):
        others = np.setdiff1d(order, fold)
        ridge = kernel(columns[others], columns[others]) + REGULARISATION * np.eye(len(others))
        models.append((fold, others, np.linalg.solve(ridge, target[others])))
    return models


def held_out(models: list[Model], columns: Columns, seen: Columns) -> Columns:
    """Predictions for each configuration from `seen`, by the model that has not learned from it."""
    order = np.concatenate([fold for fold, _, _ in models])
    found = np.concatenate([kernel(seen[fold], columns[others]) @ learned for fold, others, learned in models])
    return found[np.argsort(order)]


def kernel(one: Columns, other: Columns) -> Columns:
    """Laplacian kernel of the mean distance over the settings: near to additive in them."""
    return np.exp(-np.abs(one[:, None] - other).mean(axis=2))


def levels(values: Sequence[Any]) -> Columns:
    """The place of each value among the different ones, from 0 to 1: numbers in their order, else by their text.

    >>> levels([0.001, 1.0, 0.01]).tolist(), levels(["b", None, "b"]).tolist()
    ([0.0, 1.0, 0.5], [0.0, 1.0, 0.0])
    """
    numeric = all(isinstance(value, int | float) for value in values)
    known = values if numeric else [brief(value) for value in values]
    place = np.unique(np.asarray(known), return_inverse=True)[1].astype(np.float64)
    return place / (place.max() or 1.0)


def rms(error: Columns) -> float:
    return float(np.sqrt((error**2).mean()))
