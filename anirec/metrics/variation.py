"""Variation beyond rounding: tests for constant values, and ratios that are NaN where the denominator does not vary.

The computed variance of a constant column is seldom exactly 0: sums of squares leave rounding errors, and a constant
computed in another order differs in its last digits. Dividing by such a residue would give an arbitrary number
instead of NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ULPS = 8  # units in the last place by which equal values may differ after a few operations
ROUNDING = 1e-12  # share of a sum of squares below which a variation is due to rounding


def is_constant(values: ArrayLike, axis: int | None = None) -> Any:
    """Return whether values differ at most by rounding in the precision of their type, along an axis or overall.

    >>> is_constant([0.1 + 0.2, 0.3]), is_constant(np.array([7.1, 7.1000004], np.float32)), is_constant([1e9, 1e9 + 1])
    (True, True, False)
    """
    values = np.asarray(values)
    if not values.size:
        return np.ones(np.delete(values.shape, axis) if axis is not None else (), bool)
    digits = np.finfo(values.dtype).eps if np.issubdtype(values.dtype, np.floating) else 0.0
    low, high = (np.asarray(end(values, axis=axis), np.float64) for end in (np.min, np.max))
    found = high - low <= ULPS * digits * np.maximum(abs(low), abs(high))
    return found if axis is not None else bool(found)


def to_float64(values: ArrayLike) -> NDArray[np.float64]:
    """Return the values in float64; if they are constant (see `is_constant`), all are set to the first one."""
    values = np.asarray(values)
    exact = values.astype(np.float64)
    return np.full_like(exact, exact.flat[0]) if values.size and is_constant(values) else exact


def standard_deviation(values: NDArray[np.floating], *, otherwise: float = 1.0) -> NDArray[np.float64]:
    """Compute the deviation of each column of (n, width), float64, ignoring NaN; `otherwise` if constant.

    >>> standard_deviation(np.array([[0.1, 1.0], [0.1, 3.0], [0.1, np.nan]]))
    array([1., 1.])
    """
    values = np.asarray(values)
    deviation = np.nanstd(values.astype(np.float64), axis=0)
    middle = np.nanmean(values, axis=0)
    return np.where(is_constant(np.where(np.isnan(values), middle, values), axis=0), otherwise, deviation)


def ratio(numerator: Any, denominator: Any) -> Any:
    """Return numerator / denominator; NaN where the denominator is 0 or below.

    Works on arrays, tensors and numbers of any shape: multiplying both by a flag of 1 or 0 gives 0 / 0, which is NaN.
    """
    is_defined = denominator > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return (numerator * is_defined) / (denominator * is_defined)


def variation(n: Any, total: Any, squares: Any) -> Any:
    """Compute the sum of squared deviations from the mean of n values from their sums; 0 where only rounding is left.

    The values must be shifted by one of them, such as the smallest, so that nothing but rounding cancels.
    """
    left = squares - total**2 / n
    return left * (left > ROUNDING * squares)
