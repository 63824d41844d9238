"""One half of a sweep of alternating least squares: the factors of all users from those of all items, or the reverse.

Axes: n row, j column, f and g factor, b row of a batch, l and m place within a row.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

ENTRIES_AT_ONCE = 1 << 13  # the second-level cache holds about as many factors of 64


class Weights(NamedTuple):
    """Compressed sparse rows: row n weighs columns `column[start[n]:start[n + 1]]` (int64) by `weight`, float32 > 0."""

    start: Tensor
    column: Tensor
    weight: Tensor


def half_step(weights: Weights, factor_jf: Tensor, *, reg: float) -> Tensor:
    """(n, F): the minimum over x of Σ_j (1 + w_nj) ([j in row n] - x_n · y_j)² + reg |x_n|², for every row.

    w is 0 for a column that is not in the row. x solves (G + Σ w y y') x = Σ (1 + w) y, where G = Σ_j y y' + reg is
    made once for all rows (Hu, Koren & Volinsky, equation 4). A row of l < F entries has x = Σ v G⁻¹ y, where v solves
    l equations: l² F operations in place of l F² + F³ / 3.

    Args:
        weights: Of the rows.
        factor_jf: y, float32, held fixed. The last row must be zeros.
        reg: Penalty; > 0.
    """
    n_factors = factor_jf.shape[1]
    gram_fg = factor_jf.T @ factor_jf
    gram_fg.diagonal().add_(reg)
    dual_jf = torch.cholesky_solve(factor_jf.T, torch.linalg.cholesky(gram_fg)).T.contiguous()
    solved_nf = factor_jf.new_zeros(len(weights.start) - 1, n_factors)
    for rows, place_bl, is_entry_bl in similar_length_batches(weights.start):
        column_bl = torch.where(is_entry_bl, weights.column[place_bl], len(factor_jf) - 1)
        y_blf, w_bl = factor_jf[column_bl], weights.weight[place_bl]
        if place_bl.shape[1] < n_factors:
            dual_blf = dual_jf[column_bl]
            kernel_blm = torch.baddbmm(torch.diag_embed(1 / w_bl), y_blf, dual_blf.mT)
            v_bl = solve_positive_definite(kernel_blm, 1 + 1 / w_bl)
            solved_nf[rows] = (v_bl[:, None] @ dual_blf)[:, 0]
        else:
            matrix_bfg = torch.baddbmm(gram_fg.expand(len(rows), -1, -1), (w_bl[:, :, None] * y_blf).mT, y_blf)
            wanted_bf = ((1 + w_bl)[:, None] @ y_blf)[:, 0]
            solved_nf[rows] = solve_positive_definite(matrix_bfg, wanted_bf)
    return solved_nf


def solve_positive_definite(matrix_bfg: Tensor, wanted_bf: Tensor) -> Tensor:
    """(B, F): the x of matrix x = wanted, for positive definite matrices."""
    return torch.cholesky_solve(wanted_bf[:, :, None], torch.linalg.cholesky(matrix_bfg))[:, :, 0]


def similar_length_batches(start: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of rows (b,) of nearly one length; places (b, l) of their entries, and which are more than padding.

    Rows without an entry are left out.
    """
    length_n = start.diff()
    order = torch.argsort(length_n, stable=True)
    lengths = length_n[order].tolist()
    first = int((length_n == 0).sum())
    while first < len(lengths):
        last = first + 1
        while last < len(lengths) and (last + 1 - first) * lengths[last] <= ENTRIES_AT_ONCE:
            last += 1
        rows = order[first:last]
        step_l = torch.arange(lengths[last - 1], device=start.device)
        place_bl = (start[rows, None] + step_l).clamp(max=int(start[-1]) - 1)
        yield rows, place_bl, step_l < length_n[rows, None]
        first = last
