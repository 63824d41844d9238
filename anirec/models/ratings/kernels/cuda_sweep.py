"""One SGD sweep of SVD on a CUDA device: the algorithm of `fused_sweep`, with one program for each block of a stratum.

A rating depends on the previous one of its block, so that a block takes its number of ratings times the latency of a
read. There are therefore many more, and smaller, blocks than on the CPU.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from anirec.data.ratings.interactions import Interactions
from anirec.models.ratings.kernels import Factors, Rates
from anirec.models.ratings.kernels.grid import balanced_groups, even_bounds, strata

MOST_GROUPS = 512  # of users and of items: blocks at the same time
BLOCK_ROWS = 64  # approximate minimum of the mean number of rows of a block


class Blocks(NamedTuple):
    """Rows sorted by block: those of user group g and item group c are `start[g * n_groups + c:][:2]`, shuffled.

    Args:
        n_groups: Number of groups of users, and of items.
        start: Row bounds, int64 (n_groups² + 1,).
        user: Users of the rows, int32 (n_rows,).
        item: Items of the rows, int32 (n_rows,).
        rating: Ratings, float32 (n_rows,).
    """

    n_groups: int
    start: Tensor
    user: Tensor
    item: Tensor
    rating: Tensor


def square_blocks(rows: Interactions, n_items: int, device: torch.device, *, seed: int) -> Blocks:
    """Return the rated rows in blocks on the device, 12 bytes per row, each block in a random order."""
    n_groups = min(MOST_GROUPS, 1 << max(0, isqrt(len(rows) // BLOCK_ROWS).bit_length() - 1))
    bounds = torch.from_numpy(even_bounds(rows.indptr, n_groups)).to(device)
    groups = torch.from_numpy(balanced_groups(np.bincount(rows.item, minlength=n_items), n_groups)).to(device)
    user, item, rating = (torch.from_numpy(column).to(device) for column in (rows.user, rows.item, rows.rating))
    order = torch.randperm(len(user), generator=torch.Generator(device).manual_seed(seed), device=device)
    order = order[~rating[order].isnan()]
    block = (torch.bucketize(user[order], bounds[1:-1], right=True) * n_groups + groups[item[order]]).int()
    block, by_block = block.sort(stable=True)
    start = torch.searchsorted(block, torch.arange(n_groups**2 + 1, dtype=torch.int32, device=device))
    order = order[by_block]
    return Blocks(n_groups, start, user[order].int(), item[order].int(), rating[order])


def cuda_sweep(
    blocks: Blocks,
    factors: Factors[Tensor],
    rates: Rates,
    *,
    seed: tuple[int, ...],
    part: int = 0,
    n_parts: int = 1,
) -> None:
    """Update the factors in place, by one of `n_parts` parts of a sweep over all rows.

    The order of the blocks is random and depends only on `seed`, as does the row with which each block begins.

    Args:
        blocks: The rows.
        factors: Tables that are updated, without `y_if`.
        rates: Learning rate and penalties.
        seed: Seed of the sweep, the same for all of its parts.
        part: Number of the part, from 0.
        n_parts: Number of parts of the sweep.
    """
    random = np.random.default_rng(seed)
    order = strata(blocks.n_groups, blocks.n_groups, random)
    turns = random.integers(2**30, size=len(order))
    numbers = torch.from_numpy(order[..., 0] * blocks.n_groups + order[..., 1]).to(blocks.start.device)
    n_factors = factors.q_if.shape[1]
    for stratum in np.array_split(np.arange(len(order)), n_parts)[part].tolist():
        sweep_block[(blocks.n_groups,)](
            numbers[stratum],
            blocks.start,
            blocks.user,
            blocks.item,
            blocks.rating,
            factors.mean,
            factors.bias_u,
            factors.bias_i,
            factors.p_uf,
            factors.q_if,
            rates.lr,
            1 - rates.lr * rates.reg,
            1 - rates.lr * rates.reg_bias,
            int(turns[stratum]),
            n_factors,
            WIDTH=triton.next_power_of_2(n_factors),
            num_warps=1,
        )


@triton.jit(do_not_specialize=["turn"])
def sweep_block(  # type: ignore[no-untyped-def]
    blocks,
    starts,
    users,
    items,
    ratings,
    mean,
    bias_u,
    bias_i,
    p_uf,
    q_if,
    step,
    keep,
    keep_bias,
    turn,
    n_factors,
    WIDTH: tl.constexpr,  # noqa: N803
) -> None:
    """Process the rows of one block, from a row that depends on `turn` onwards, and then from the first row."""
    block = tl.load(blocks + tl.program_id(0))
    first, last = tl.load(starts + block), tl.load(starts + block + 1)
    n = last - first
    factor = tl.arange(0, WIDTH)
    exists = factor < n_factors
    centre = tl.load(mean)
    for k in range(n):
        row = first + (k + turn) % n
        user, item = tl.load(users + row).to(tl.int64), tl.load(items + row).to(tl.int64)
        p_at, q_at = p_uf + user * n_factors + factor, q_if + item * n_factors + factor
        p_f, q_f = tl.load(p_at, mask=exists, other=0.0), tl.load(q_at, mask=exists, other=0.0)
        of_user, of_item = tl.load(bias_u + user), tl.load(bias_i + item)
        move = step * (tl.load(ratings + row) - centre - of_user - of_item - tl.sum(p_f * q_f, axis=0))
        tl.store(bias_u + user, keep_bias * of_user + move)
        tl.store(bias_i + item, keep_bias * of_item + move)
        tl.store(p_at, keep * p_f + move * q_f, mask=exists)
        tl.store(q_at, keep * q_f + move * p_f, mask=exists)
        tl.debug_barrier()  # the next row reads offsets that another thread of this program has written
