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
            block = x_nf[first : min(first + ROWS_PER_TASK, bounds[part + 1])].astype(np.float64)
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

    Only the lower triangle is read; both are written. Cholesky's factor L, its inverse, and their product L⁻ᵀ L⁻¹ are
    computed by tiles in the place of the matrix, with n³ operations in total and no second matrix. Tiles on the
    diagonal are factorised in float64.

    Raises:
        numpy.linalg.LinAlgError: The matrix is not positive definite in float32.

    >>> matrix = np.array([[2, 0], [1, 1]], np.float32)
    >>> invert_in_place(matrix)
    >>> matrix.round(5).tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    n = len(lower_nn)
    tiles = [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    inverses = factorise(lower_nn, tiles)
    invert_factor(lower_nn, tiles, inverses)
    multiply_by_transpose(lower_nn, tiles)


def factorise(a: Array, tiles: list[slice]) -> list[Array]:
    """Replace the lower triangle by Cholesky's factor L, and return the inverses of its diagonal tiles."""
    inverses = []
    for k, pivot in enumerate(tiles):
        with one_blas_thread():
            diagonal = np.tril(a[pivot, pivot]).astype(np.float64)
            lower = np.linalg.cholesky(diagonal + np.tril(diagonal, -1).T)
            inverses.append(np.tril(np.linalg.inv(lower)).astype(np.float32))
        a[pivot, pivot] = lower
        below = tiles[k + 1 :]
        pairs = [(i, j) for number, i in enumerate(below) for j in below[: number + 1]]

        def divide(t: int, pivot: slice = pivot, below: list[slice] = below, by: Array = inverses[k]) -> None:
            a[below[t], pivot] = a[below[t], pivot] @ by.T

        def subtract(t: int, pivot: slice = pivot, pairs: list[tuple[slice, slice]] = pairs) -> None:
            i, j = pairs[t]
            a[i, j] -= a[i, pivot] @ a[j, pivot].T

        run_tasks(divide, len(below))
        run_tasks(subtract, len(pairs))
    return inverses


def invert_factor(a: Array, tiles: list[slice], inverses: list[Array]) -> None:
    """Replace L by its inverse, row of tiles by row: L⁻¹_ij = -L⁻¹_ii Σ_k L_ik L⁻¹_kj for k from j to before i."""
    for i, rows in enumerate(tiles):
        panel = np.empty((rows.stop - rows.start, rows.start), np.float32)

        def row_of_inverse(j: int, rows: slice = rows, panel: Array = panel, by: Array = inverses[i]) -> None:
            columns, between = tiles[j], slice(tiles[j].start, rows.start)
            panel[:, columns] = by @ -(a[rows, between] @ a[between, columns])

        run_tasks(row_of_inverse, i)
        a[rows, : rows.start] = panel
        a[rows, rows] = inverses[i]


def multiply_by_transpose(a: Array, tiles: list[slice]) -> None:
    """Replace M by M'M, both triangles, where M is lower triangular: (M'M)_ij = Σ_k M_ki' M_kj for k from i."""
    for i, rows in enumerate(tiles):
        panel = np.empty((rows.stop - rows.start, rows.stop), np.float32)

        def row_of_product(j: int, rows: slice = rows, panel: Array = panel) -> None:
            panel[:, tiles[j]] = a[rows.start :, rows].T @ a[rows.start :, tiles[j]]

        run_tasks(row_of_product, i + 1)
        a[rows, : rows.stop] = panel
    for rows in tiles:
        a[: rows.start, rows] = a[rows, : rows.start].T
