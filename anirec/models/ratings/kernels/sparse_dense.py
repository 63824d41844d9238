"""Products of a sparse matrix with a dense table."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import SparseRows, equal_tasks
from anirec.threads import in_threads

TASKS = 512  # per product
Array = NDArray[Any]


def multiply(rows: SparseRows, table_jf: Array, first: int, last: int) -> Array:
    """Return the rows from `first` to before `last` times a table with a row per column, float32 (last - first, F)."""
    out_nf = np.zeros((last - first, table_jf.shape[1]), np.float32)
    bounds = first + equal_tasks(np.diff(rows.start[first : last + 1]), TASKS, least=4096)

    def task(number: int, _: int) -> None:
        begin, end = bounds[number], bounds[number + 1]
        sum_rows(begin, end, rows, table_jf, out_nf[begin - first : end - first])

    in_threads(task, len(bounds) - 1, chunk=1)
    return out_nf


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def sum_rows(first: int, last: int, rows: SparseRows, table_jf: Array, out_nf: Array) -> None:
    """Fill `out_nf` with sums of rows of the table, which are read four at once."""
    start, column, value = rows
    for n in range(first, last):
        out_f = out_nf[n - first]
        entry, end = start[n], start[n + 1]
        while entry + 4 <= end:
            v, w, x, y = value[entry], value[entry + 1], value[entry + 2], value[entry + 3]
            v_f, w_f = table_jf[column[entry]], table_jf[column[entry + 1]]
            x_f, y_f = table_jf[column[entry + 2]], table_jf[column[entry + 3]]
            for f in range(len(out_f)):
                out_f[f] += (v * v_f[f] + w * w_f[f]) + (x * x_f[f] + y * y_f[f])
            entry += 4
        for e in range(entry, end):
            v, v_f = value[e], table_jf[column[e]]
            for f in range(len(out_f)):
                out_f[f] += v * v_f[f]
