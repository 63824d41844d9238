"""Half-step of alternating least squares: solve for all user factors given all item factors, or the reverse.

Axes: n row, j column, f and g factor, b row of a batch, l and m entry of a row.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BATCH_ENTRIES = 1 << 13  # about as many vectors of 64 factors as fit in the L2 cache


class Entries(NamedTuple):
    """Compressed sparse rows: row n has `target` and `weight` at columns `column[start[n]:start[n + 1]]`.

    Both are float32; weights are > 0.
    """

    start: Tensor
    column: Tensor
    target: Tensor
    weight: Tensor


def half_step(entries: Entries, factor_jf: Tensor, *, reg: float) -> Tensor:
    """Return for each row n the minimiser x_n of Σ_j (1 + w_nj) (t_nj - x_n · y_j)² + reg |x_n|², shape (n, F).

    t and w are 0 for columns that are not in the row. x solves (G + Σ w y y') x = Σ (1 + w) t y, where
    G = Σ_j y y' + reg I is shared by all rows (Hu, Koren & Volinsky 2008, equation 4). For a row of l < F entries,
    x = Σ v G⁻¹ y, where v solves l equations: l² F operations instead of l F² + F³ / 3.

    Args:
        entries: Targets t and weights w.
        factor_jf: Factors y of the columns, float32, held fixed. The last row must be zeros.
        reg: L2 penalty; > 0.
    """
    n_factors = factor_jf.shape[1]
    gram_fg = factor_jf.T @ factor_jf
    gram_fg.diagonal().add_(reg)
    dual_jf = torch.cholesky_solve(factor_jf.T, torch.linalg.cholesky(gram_fg)).T.contiguous()
    solved_nf = factor_jf.new_zeros(len(entries.start) - 1, n_factors)
    for rows, entry_bl, is_entry_bl in similar_length_batches(entries.start):
        column_bl = torch.where(is_entry_bl, entries.column[entry_bl], len(factor_jf) - 1)
        y_blf, w_bl = factor_jf[column_bl], entries.weight[entry_bl]
        t_bl = entries.target[entry_bl]
        if entry_bl.shape[1] < n_factors:
            dual_blf = dual_jf[column_bl]
            kernel_blm = torch.baddbmm(torch.diag_embed(1 / w_bl), y_blf, dual_blf.mT)
            v_bl = solve_positive_definite(kernel_blm, (1 + 1 / w_bl) * t_bl)
            solved_nf[rows] = (v_bl[:, None] @ dual_blf)[:, 0]
        else:
            matrix_bfg = torch.baddbmm(gram_fg.expand(len(rows), -1, -1), (w_bl[:, :, None] * y_blf).mT, y_blf)
            wanted_bf = (((1 + w_bl) * t_bl)[:, None] @ y_blf)[:, 0]
            solved_nf[rows] = solve_positive_definite(matrix_bfg, wanted_bf)
    return solved_nf


def solve_positive_definite(matrix_bfg: Tensor, wanted_bf: Tensor) -> Tensor:
    """Solve matrix · x = wanted for batches of positive definite matrices; return x (B, F)."""
    return torch.cholesky_solve(wanted_bf[:, :, None], torch.linalg.cholesky(matrix_bfg))[:, :, 0]


def similar_length_batches(start: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of rows of similar length: row numbers (b,), positions of their entries (b, l), and a padding mask.

    The mask is true for entries and false for padding. Rows without entries are skipped.
    """
    length_n = start.diff()
    order = torch.argsort(length_n, stable=True)
    lengths = length_n[order].tolist()
    first = int((length_n == 0).sum())
    while first < len(lengths):
        last = first + 1
        while last < len(lengths) and (last + 1 - first) * lengths[last] <= BATCH_ENTRIES:
            last += 1
        rows = order[first:last]
        step_l = torch.arange(lengths[last - 1], device=start.device)
        entry_bl = (start[rows, None] + step_l).clamp(max=int(start[-1]) - 1)
        yield rows, entry_bl, step_l < length_n[rows, None]
        first = last
