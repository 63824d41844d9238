"""Updates of AdamW for some rows of a table, in one pass over them instead of a dozen operations; see `RowAdamW`."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
Int64Array = NDArray[np.int64]
FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN is preserved


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def catch_up_rows(
    rows: Int64Array,
    table: FloatArray,
    mean: FloatArray,
    square: FloatArray,
    done: Int64Array,
    distance: FloatArray,
    kept: FloatArray,
    now: tuple[int, int],
    settings: tuple[float, float, float],
    window: int,
) -> None:
    """Apply the postponed steps of the rows; `now` holds the steps of the clock and of the optimiser."""
    (n_steps, n_optimizer_steps), (beta, beta_square, eps) = now, settings
    kind = table.dtype.type
    for row in rows:
        since = done[row]
        missed = n_steps - since
        if missed == 0:
            continue
        moved = kind(distance[since] * math.exp(kept[n_steps] - kept[min(since + window, n_steps)]))
        factor = kind(math.exp(kept[n_steps] - kept[since]))
        small = kind(eps * math.sqrt(1 - beta_square ** (n_optimizer_steps - missed + 1)))
        decay, decay_square = kind(beta**missed), kind(beta_square**missed)
        for column in range(table.shape[1]):
            m, s = mean[row, column], square[row, column]
            table[row, column] = table[row, column] * factor - moved * (m / (np.sqrt(s) + small))
            mean[row, column], square[row, column] = m * decay, s * decay_square
        done[row] = n_steps


@numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def update_rows(
    rows: Int64Array,
    gradient: FloatArray,
    table: FloatArray,
    mean: FloatArray,
    square: FloatArray,
    settings: tuple[float, float, float],
    rates: tuple[float, float, float],
) -> None:
    """Do a step of AdamW on the rows; `rates` are step size, bias correction of the root, and weight-decay factor."""
    beta, beta_square, eps = settings
    kind = table.dtype.type
    size, correction, keep, small = kind(rates[0]), kind(rates[1]), kind(rates[2]), kind(eps)
    rest, rest_square, kept_square = kind(1 - beta), kind(1 - beta_square), kind(beta_square)
    for k in range(len(rows)):
        row = rows[k]
        for column in range(table.shape[1]):
            g = gradient[k, column]
            m = mean[row, column] + rest * (g - mean[row, column])
            s = kept_square * square[row, column] + rest_square * g * g
            mean[row, column], square[row, column] = m, s
            table[row, column] = keep * table[row, column] - size * (m / (np.sqrt(s) / correction + small))
