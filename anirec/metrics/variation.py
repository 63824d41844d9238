"""Variation: whether values vary by more than rounding, and ratios that are undefined where nothing varies.

A constant column seldom has the variance 0: sums of squares leave a rest of rounding, and a constant computed in
another order differs in its last digits. Dividing by such a rest gives an arbitrary number in the place of NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ULPS = 8  # units in the last place by which equal values may differ after a few operations
ROUNDING = 1e-12  # of a sum of squares: a variance below is what rounding left


def is_constant(values: ArrayLike, axis: int | None = None) -> Any:
    """Whether values differ by rounding at most, in the precision of their own type; along an axis, or all of them.

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


def settled(values: ArrayLike) -> NDArray[np.float64]:
    """The values in float64; all equal to the first where they are constant, see `is_constant`."""
    values = np.asarray(values)
    exact = values.astype(np.float64)
    return np.full_like(exact, exact.flat[0]) if values.size and is_constant(values) else exact


def standard_deviation(values: NDArray[np.floating], *, otherwise: float = 1.0) -> NDArray[np.float64]:
    """Of each column of (n, width), float64; `otherwise` where a column does not vary. NaN is left out.

    >>> standard_deviation(np.array([[0.1, 1.0], [0.1, 3.0], [0.1, np.nan]]))
    array([1., 1.])
    """
    values = np.asarray(values)
    deviation = np.nanstd(values.astype(np.float64), axis=0)
    middle = np.nanmean(values, axis=0)
    return np.where(is_constant(np.where(np.isnan(values), middle, values), axis=0), otherwise, deviation)


def ratio(numerator: Any, denominator: Any) -> Any:
    """numerator / denominator; NaN where the denominator is 0 or below.

    Arrays, tensors and numbers of any shape: a flag is 1 or 0 in a product, and 0 / 0 is NaN.
    """
    is_defined = denominator > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return (numerator * is_defined) / (denominator * is_defined)


def variation(n: Any, total: Any, squares: Any) -> Any:
    """The summed squared deviations from the mean of n values, from their sums; 0 where only rounding is left.

    The values must be distances from one of them, such as the smallest: then nothing cancels but rounding.
    """
    left = squares - total**2 / n
    return left * (left > ROUNDING * squares)
