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
