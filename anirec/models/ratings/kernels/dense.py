"""Products of dense matrices whose bits do not depend on the number of threads.

BLAS divides a product among its threads in a way that changes the last digits. Here each task is a block of fixed size,
computed by one BLAS thread, and the tasks run in parallel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from anirec.threads import in_threads

ROWS_PER_TASK = 4096
BLOCK = 512  # rows and columns of a tile, which fits in the L2 cache
GRAM_PARTS = 64  # partial sums of a Gram matrix; a fixed number, so that the order of the sum is fixed
Array = NDArray[Any]


def one_blas_thread() -> threadpool_limits:
    """Return a context in which NumPy's BLAS and LAPACK use one thread."""
    return threadpool_limits(1, user_api="blas")


def run_tasks(task: Callable[[int], None], n: int) -> None:
    """Run `task(0)` to `task(n - 1)` in several threads, with one BLAS thread in each."""
    with one_blas_thread():
        in_threads(lambda first, _: task(first), n, chunk=1)


def gram(x_nf: Array) -> Array:
    """Return X'X, float64 (F, F), summed over the rows of X, float32 (n, F)."""
    n, n_factors = x_nf.shape
    bounds = np.linspace(0, n, min(GRAM_PARTS, -(-n // ROWS_PER_TASK)) + 1).astype(np.int64)
    parts = np.zeros((len(bounds) - 1, n_factors, n_factors))

    def task(part: int) -> None:
        for first in range(bounds[part], bounds[part + 1], ROWS_PER_TASK):
            block = x_nf[first : min(first + ROWS_PER_TASK, bounds[part + 1])]
            parts[part] += block.T @ block

    run_tasks(task, len(parts))
    return parts.sum(axis=0)


def multiply_rows(x_nf: Array, matrix_fg: Array) -> Array:
    """Return X times a matrix, float32 (n, G)."""
    out = np.empty((len(x_nf), matrix_fg.shape[1]), np.float32)

    def task(number: int) -> None:
        rows = slice(number * ROWS_PER_TASK, (number + 1) * ROWS_PER_TASK)
        np.matmul(x_nf[rows], matrix_fg, out=out[rows])

    run_tasks(task, -(-len(x_nf) // ROWS_PER_TASK))
    return out


def invert_in_place(lower_nn: Array) -> None:
    """Replace a positive definite matrix by its inverse, float32 (n, n).

    Only the lower triangle is read; both are written. The algorithm is Gauss-Jordan elimination by symmetric blocks
    (Goodnight, A Tutorial on the SWEEP Operator, 1979). It needs n³ operations, as Cholesky's method
    does, and no second matrix, and is as exact, since all pivots are Schur complements of a positive definite matrix.

    >>> matrix = np.array([[2, 0], [1, 1]], np.float32)
    >>> invert_in_place(matrix)
    >>> matrix
    array([[ 1., -1.],
           [-1.,  2.]], dtype=float32)
    """
    n = len(lower_nn)
    blocks = [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    tiles = [(i, j) for i in range(len(blocks)) for j in range(i + 1)]
    panel, swept = np.empty((2, n, min(BLOCK, n)), np.float32)
    for k, pivot in enumerate(blocks):
        size = pivot.stop - pivot.start
        columns, moved = panel[:, :size], swept[:, :size]
        with one_blas_thread():
            diagonal = np.tril(lower_nn[pivot, pivot]).astype(np.float64)
            inverse = np.linalg.inv(diagonal + np.tril(diagonal, -1).T)
            inverse = ((inverse + inverse.T) / 2).astype(np.float32)

        def gather(i: int, k: int = k, columns: Array = columns, moved: Array = moved, by: Array = inverse) -> None:
            rows, pivot = blocks[i], blocks[k]
            columns[rows] = lower_nn[rows, pivot] if i > k else lower_nn[pivot, rows].T
            if i != k:
                np.matmul(columns[rows], by, out=moved[rows])

        def eliminate(t: int, k: int = k, columns: Array = columns, moved: Array = moved) -> None:
            i, j = tiles[t]
            if k not in {i, j}:
                lower_nn[blocks[i], blocks[j]] -= moved[blocks[i]] @ columns[blocks[j]].T

        run_tasks(gather, len(blocks))
        run_tasks(eliminate, len(tiles))
        lower_nn[pivot.stop :, pivot] = moved[pivot.stop :]
        lower_nn[pivot, : pivot.start] = moved[: pivot.start].T
        lower_nn[pivot, pivot] = -inverse

    def finish(t: int) -> None:
        i, j = (blocks[block] for block in tiles[t])
        tile = lower_nn[i, j]
        np.negative(tile, out=tile)
        lower_nn[j, i] = tile.T if i != j else np.tril(tile) + np.tril(tile, -1).T

    run_tasks(finish, len(tiles))
