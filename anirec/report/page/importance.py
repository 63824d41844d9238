"""Permutation importance of settings: the increase of the error in predicting a metric when a setting is shuffled.

A row is a configuration: its seeds and folds are averaged, so that no configuration is used for both fitting and
evaluation. Kernel ridge regression predicts the metric by cross-validation in ten folds. Importance is given only if
these predictions are better than the mean and better than 95% of those for permuted metrics (permutation test: Ojala &
Garriga, Permutation Tests for Studying Classifier Performance, JMLR 2010).
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
FoldModel = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def importance(values: Sequence[Sequence[Any]], metric: Sequence[float]) -> list[float] | None:
    """Return the importance of each setting in units of the metric; None if the settings do not predict it.

    The importance of a setting is the increase of the root mean squared error on held-out configurations when its
    values are shuffled among the configurations (permutation importance: Breiman, Random Forests, 2001).

    Args:
        values: The value of each setting in each configuration, one sequence per setting.
        metric: The metric of each configuration, (n_configurations,). With fewer than `FEWEST` the result is None.

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
    models, random = fit_folds(columns, target), np.random.default_rng(0)
    error = rms(target - predict_held_out(models, columns, columns))
    found = []
    for setting in range(len(values)):
        errors = []
        for _ in range(SHUFFLES):
            shuffled = columns.copy()
            random.shuffle(shuffled[:, setting])
            errors.append(rms(target - predict_held_out(models, columns, shuffled)))
        found.append(max(0.0, float(np.mean(errors)) - error))
    return found


def is_predictable(columns: Columns, target: Columns) -> bool:
    """Return whether held-out configurations are predicted better than by the mean, and better than by chance.

    Args:
        columns: (n_configurations, n_settings).
        target: Metric minus its mean, (n_configurations,).
    """
    random = np.random.default_rng(0)
    permuted = np.stack([target, *(random.permutation(target) for _ in range(PERMUTATIONS))], axis=1)
    error = ((permuted - predict_held_out(fit_folds(columns, permuted), columns, columns)) ** 2).sum(axis=0)
    return bool(error[0] < (target**2).sum() and (error <= error[0]).mean() <= LEVEL)


def fit_folds(columns: Columns, target: Columns) -> list[FoldModel]:
    """Fit kernel ridge regression once per fold; return the fold's rows, the other rows, and their coefficients.

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


def predict_held_out(models: list[FoldModel], columns: Columns, seen: Columns) -> Columns:
    """Predict each configuration from `seen` with the model that was not fitted on it."""
    order = np.concatenate([fold for fold, _, _ in models])
    found = np.concatenate([kernel(seen[fold], columns[others]) @ learned for fold, others, learned in models])
    return found[np.argsort(order)]


def kernel(one: Columns, other: Columns) -> Columns:
    """Compute the Laplacian kernel of the mean distance over the settings; approximately additive in them."""
    return np.exp(-np.abs(one[:, None] - other).mean(axis=2))


def levels(values: Sequence[Any]) -> Columns:
    """Return the rank of each value among the distinct ones, scaled to 0-1; non-numeric values are sorted as text.

    >>> levels([0.001, 1.0, 0.01]).tolist(), levels(["b", None, "b"]).tolist()
    ([0.0, 1.0, 0.5], [0.0, 1.0, 0.0])
    """
    numeric = all(isinstance(value, int | float) for value in values)
    known = values if numeric else [brief(value) for value in values]
    place = np.unique(np.asarray(known), return_inverse=True)[1].astype(np.float64)
    return place / (place.max() or 1.0)


def rms(error: Columns) -> float:
    return float(np.sqrt((error**2).mean()))
