"""Half-step of alternating least squares: solve for all user factors given all item factors, or the reverse.

Each row's equations are solved by conjugate gradients (Takács, Pilászy & Tikk 2011), without forming their matrix, from
the row's previous factors. The equations are first whitened by the Gram matrix that all rows share. Their condition is
then at most 1 + the largest weight, so that few steps suffice, and the residual bounds the error. Rows with weights for
which float32 is not exact enough are solved directly.

Axes: n row, j column, f and g factor, e entry.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.models.ratings.kernels.dense import gram, multiply_rows, one_blas_thread, run_tasks
from anirec.models.ratings.kernels.sparse_rows import equal_tasks, transpose

TASKS = 512  # per half-step
LARGEST_WEIGHT = 1e4  # of a row that is solved by conjugate gradients: float32 is not exact enough beyond
MAX_STEPS = 100  # of conjugate gradients; a row that needs more is solved directly, in float64
ENTRIES_AT_ONCE = 1 << 20  # whose factors are copied together, on devices other than the CPU
FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD)
Array = NDArray[Any]


class Entries(NamedTuple):
    """Compressed sparse rows: row n has `target` and `weight` at columns `column[start[n]:start[n + 1]]`.

    `start` is int64, `column` int32, and the others are float32; weights are > 0.
    """

    start: Tensor
    column: Tensor
    target: Tensor
    weight: Tensor

    def transpose(self, n_columns: int) -> "Entries":
        """Return the same entries as compressed sparse columns."""
        start, column, *values = (tensor.cpu().numpy() for tensor in self)
        start, row, values = transpose(start, column, tuple(values), n_columns)
        return Entries(*(torch.from_numpy(array).to(self.start.device) for array in (start, row, *values)))

    def rows(self, first: int, last: int) -> "Entries":
        """Return the entries of the rows from `first` to before `last`."""
        begin, end = int(self.start[first]), int(self.start[last])
        return Entries(self.start[first : last + 1] - begin, *(column[begin:end] for column in self[1:]))


def half_step(entries: Entries, factor_jf: Tensor, before_nf: Tensor, *, reg: float, tolerance: float) -> Tensor:
    """Return for each row n the minimiser x_n of Σ_j (1 + w_nj) (t_nj - x_n · y_j)² + reg |x_n|², shape (n, F).

    t and w are 0 for columns that are not in the row. x solves (G + Σ w y y') x = Σ (1 + w) t y, where
    G = Σ_j y y' + reg I is shared by all rows (Hu, Koren & Volinsky 2008, equation 4). With G = L L', z = L' x and
    v = L⁻¹ y, the equations are (I + Σ w v v') z = Σ (1 + w) t v.

    Args:
        entries: Targets t and weights w.
        factor_jf: Factors y of the columns, float32, held fixed.
        before_nf: Factors x to start from, float32 (n, F).
        reg: L2 penalty; > 0.
        tolerance: Bound on |z - exact z| / |z|, which is the relative root mean square error of the row's scores of
            all columns.
    """
    inverse_fg, lower_fg = whitening(factor_jf, reg)
    if factor_jf.device.type != "cpu":
        return solve_on_device(entries, factor_jf, before_nf, inverse_fg, lower_fg, tolerance)
    inverse, lower = inverse_fg.astype(np.float32), lower_fg.astype(np.float32)
    factors, before = factor_jf.numpy(), before_nf.numpy()
    white_jf = multiply_rows(factors, inverse.T)
    start, column, target, weight = (tensor.numpy() for tensor in entries)
    solved = np.empty_like(before)
    bounds = equal_tasks(np.diff(start) + 8, TASKS, least=4096)  # to whiten a row costs as much as about 8 entries

    def task(number: int) -> None:
        first, last = bounds[number], bounds[number + 1]
        z_nf = before[first:last] @ lower
        is_open = solve_rows(first, start, column, target, weight, white_jf, z_nf, tolerance)
        np.matmul(z_nf, inverse, out=solved[first:last])
        for n in first + np.flatnonzero(is_open):
            of_row = slice(start[n], start[n + 1])
            solved[n] = solve_row(lower_fg, factors[column[of_row]], target[of_row], weight[of_row])

    run_tasks(task, len(bounds) - 1)
    return torch.from_numpy(solved)


def solve_row(lower_fg: Array, y_ef: Array, target: Array, weight: Array) -> Array:
    """Return the solution x of one row, float64 (F,), from the factors y of its columns; see `half_step`."""
    y_ef, by = y_ef.astype(np.float64), weight.astype(np.float64)
    solved: Array = np.linalg.solve(lower_fg @ lower_fg.T + (y_ef.T * by) @ y_ef, y_ef.T @ ((1 + by) * target))
    return solved


def whitening(factor_jf: Tensor, reg: float) -> tuple[Array, Array]:
    """Return L⁻¹ and L, where L L' = Y'Y + reg I, float64 (F, F)."""
    on_cpu = factor_jf.device.type == "cpu"
    gram_fg = gram(factor_jf.numpy()) if on_cpu else (factor_jf.T @ factor_jf).double().cpu().numpy()
    with one_blas_thread():
        lower_fg = np.linalg.cholesky(gram_fg + reg * np.eye(len(gram_fg)))
        return np.linalg.inv(lower_fg), lower_fg


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def solve_rows(
    first: int, start: Array, column: Array, target: Array, weight: Array, v_jf: Array, z_nf: Array, tolerance: float
) -> Array:
    """Solve (I + Σ w v v') z = Σ (1 + w) t v for the rows from `first`, in place.

    As the matrix is at least I, the residual is at least the error.

    Returns:
        Which rows have too large a weight, or need more than `MAX_STEPS` steps, bool (n,).
    """
    is_open = np.zeros(len(z_nf), np.bool_)
    n_factors, one = v_jf.shape[1], np.float32(1)
    residual_f, step_f, product_f = (
        np.empty(n_factors, np.float32),
        np.empty(n_factors, np.float32),
        np.empty(n_factors, np.float32),
    )
    squared_tolerance = np.float32(tolerance * tolerance)
    for n in range(len(z_nf)):
        begin, end = start[first + n], start[first + n + 1]
        z_f = z_nf[n]
        if begin == end:
            z_f[:] = 0
            continue
        largest = np.float32(0)
        for f in range(n_factors):
            residual_f[f] = -z_f[f]
        for e in range(begin, end):
            j, dot = column[e], np.float32(0)
            largest = max(largest, weight[e])
            for f in range(n_factors):
                dot += v_jf[j, f] * z_f[f]
            by = (one + weight[e]) * target[e] - weight[e] * dot
            for f in range(n_factors):
                residual_f[f] += by * v_jf[j, f]
        error = np.float32(0)
        for f in range(n_factors):
            step_f[f] = residual_f[f]
            error += residual_f[f] * residual_f[f]
        is_open[n] = True
        if largest > LARGEST_WEIGHT:
            continue
        for _ in range(MAX_STEPS):
            length = np.float32(0)
            for f in range(n_factors):
                length += z_f[f] * z_f[f]
            if error <= squared_tolerance * length:
                is_open[n] = False
                break
            for f in range(n_factors):
                product_f[f] = step_f[f]
            for e in range(begin, end):
                j, dot = column[e], np.float32(0)
                for f in range(n_factors):
                    dot += v_jf[j, f] * step_f[f]
                dot *= weight[e]
                for f in range(n_factors):
                    product_f[f] += dot * v_jf[j, f]
            curvature = np.float32(0)
            for f in range(n_factors):
                curvature += step_f[f] * product_f[f]
            along, before = error / curvature, error
            error = np.float32(0)
            for f in range(n_factors):
                z_f[f] += along * step_f[f]
                residual_f[f] -= along * product_f[f]
                error += residual_f[f] * residual_f[f]
            for f in range(n_factors):
                step_f[f] = residual_f[f] + error / before * step_f[f]
    return is_open


def solve_on_device(
    entries: Entries, y_jf: Tensor, x_nf: Tensor, inverse_fg: Array, lower_fg: Array, tolerance: float
) -> Tensor:
    """Solve the equations of `half_step` with tensor operations, from x; return the solutions (n, F)."""
    inverse, lower = (torch.from_numpy(matrix).to(y_jf) for matrix in (inverse_fg, lower_fg))
    v_jf, z_nf = y_jf @ inverse.T, x_nf @ lower
    solved, work = [], (entries.start.diff() + 1).cpu().numpy()
    for first, last in pairwise(equal_tasks(work, -(-int(work.sum()) // ENTRIES_AT_ONCE)).tolist()):
        some, z = entries.rows(first, last), z_nf[first:last]
        row = torch.repeat_interleave(torch.arange(last - first, device=z.device), some.start.diff())
        v_ef = v_jf[some.column]
        z = torch.where((some.start.diff() > 0)[:, None], z, 0)

        def weighted_sum(by_e: Tensor, some: Entries = some) -> Tensor:
            return embedding_bag(some.column, v_jf, some.start[:-1].int(), mode="sum", per_sample_weights=by_e)

        def times_matrix(x: Tensor, some: Entries = some, row: Tensor = row, v_ef: Tensor = v_ef) -> Tensor:
            return x + weighted_sum(some.weight * (v_ef * x[row]).sum(1))

        residual = weighted_sum((1 + some.weight) * some.target) - times_matrix(z)
        step, error = residual, residual.square().sum(1, keepdim=True)
        for _ in range(MAX_STEPS):
            is_open = error > tolerance**2 * z.square().sum(1, keepdim=True)
            if not is_open.any():
                break
            product, before = times_matrix(step), error
            along = torch.where(is_open, error / (step * product).sum(1, keepdim=True), 0)
            z, residual = z + along * step, residual - along * product
            error = torch.where(is_open, residual.square().sum(1, keepdim=True), before)
            step = torch.where(is_open, residual + error / before * step, step)
        is_open = (error > tolerance**2 * z.square().sum(1, keepdim=True))[:, 0]
        is_open[row[some.weight > LARGEST_WEIGHT]] = True
        solved.append(z @ inverse)
        for n in is_open.nonzero()[:, 0].tolist():
            of_row = some.rows(n, n + 1)
            parts = (part.cpu().numpy() for part in (y_jf[of_row.column], of_row.target, of_row.weight))
            solved[-1][n] = torch.from_numpy(solve_row(lower_fg, *parts)).to(z)
    return torch.cat(solved)
