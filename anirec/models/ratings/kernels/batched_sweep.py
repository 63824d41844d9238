"""One SGD sweep of SVD or SVD++ in tensor operations, for any device.

Many ratings are processed together, all starting from the same parameters. The summed steps of ratings that share an
item or a user would overshoot. They are therefore limited to the distance that sequential steps would cover in that
direction: (1 - exp(-lr c)) / c times the gradient, for curvature c.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.models.ratings.kernels import Block, Factors, Rates
from anirec.models.ratings.kernels.grid import Grid, strata

USER_ROWS = 4096  # rows of users between two updates of y; more is faster on a GPU, but further from SGD
STEPS = 4  # in which the ratings of these users are processed
MIN_TURNS = 16  # minimum number of groups of users per block
OVERSHOOT = 10.0  # limit on the movement of users by y, relative to their own; without it, short lists diverge


@torch.no_grad()
def batched_sweep(
    grid: Grid[Tensor],
    factors: Factors[Tensor],
    rates: Rates,
    *,
    seed: tuple[int, ...],
    part: int = 0,
    n_parts: int = 1,
) -> None:
    """Update the factors in place, by one of `n_parts` parts of a sweep over all rows.

    The order is random and depends only on `seed`.

    Args:
        grid: The rows in groups of users and one group of all items, on the device of the factors.
        factors: Tables that are updated.
        rates: Learning rate and penalties.
        seed: Seed of the sweep, the same for all of its parts.
        part: Number of the part, from 0.
        n_parts: Number of parts of the sweep.
    """
    blocks = strata(len(grid.users) - 1, 1, np.random.default_rng(seed))[:, 0, 0]
    for group in np.array_split(blocks, n_parts)[part].tolist():
        random = torch.Generator().manual_seed(int(np.random.default_rng((*seed, group)).integers(2**62)))
        step_block(block_of(grid, group), factors, rates, random)


def block_of(grid: Grid[Tensor], group: int) -> Block[Tensor]:
    """Return the rows of a group of users."""
    first, last = grid.users[group : group + 2].tolist()
    start = grid.start[0, first : last + 1]
    low, high = int(start[0]), int(start[-1])
    users = torch.arange(first, last, device=start.device)
    return Block(users, start - low, grid.item[low:high].long(), grid.rating[low:high])


def step_block(block: Block[Tensor], factors: Factors[Tensor], rates: Rates, random: torch.Generator) -> None:
    """Update the factors in place for all users of the block, in random order."""
    order = torch.randperm(len(block.users), generator=random).to(block.users.device)
    block = reorder_users(block, order)
    total = block.start.cpu()
    turn = min(USER_ROWS, -(-len(block.item) // MIN_TURNS))
    cuts = torch.searchsorted(total, torch.arange(0, len(block.item), turn), right=True) - 1
    for first, last in pairwise([*cuts.unique().tolist(), len(order)]):
        low, high = int(total[first]), int(total[last])
        part = Block(
            block.users[first:last],
            block.start[first : last + 1] - low,
            block.item[low:high],
            block.rating[low:high],
        )
        step_users(part, factors, rates, random)


def reorder_users(block: Block[Tensor], order: Tensor) -> Block[Tensor]:
    """Return the block with its users in another order."""
    counts = block.start.diff()[order]
    start = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    rows = torch.arange(len(block.item), device=order.device)
    rows += torch.repeat_interleave(block.start[:-1][order] - start[:-1], counts)
    return Block(block.users[order], start, block.item[rows], block.rating[rows])


def step_users(block: Block[Tensor], factors: Factors[Tensor], rates: Rates, random: torch.Generator) -> None:
    """Process all ratings of a few users, then update the implicit factors of their items."""
    bias_k, s_kf = factors.bias_u[block.users], user_vectors(block, factors)
    implicit = len(factors.y_if) > 0
    share = 2 if implicit else 1
    before_kf, kept_k = s_kf.clone(), torch.ones_like(bias_k)
    user = torch.repeat_interleave(torch.arange(len(block.users), device=bias_k.device), block.start.diff())
    rated = (~block.rating.isnan()).nonzero()[:, 0]
    shuffled = rated[torch.randperm(len(rated), generator=random).to(rated.device)]
    for rows in shuffled.tensor_split(STEPS):
        step_ratings(
            user=user[rows],
            item=block.item[rows],
            rating=block.rating[rows],
            s_kf=s_kf,
            bias_k=bias_k,
            kept_k=kept_k,
            factors=factors,
            rates=rates,
            share=share,
        )
    moved_kf = (s_kf - kept_k[:, None] * before_kf) / share
    factors.bias_u[block.users] = bias_k
    factors.p_uf[block.users] = kept_k[:, None] * factors.p_uf[block.users] + moved_kf
    if implicit:
        step_implicit(block, user, moved_kf, kept_k, factors.y_if)


def step_ratings(
    *,
    user: Tensor,
    item: Tensor,
    rating: Tensor,
    s_kf: Tensor,
    bias_k: Tensor,
    kept_k: Tensor,
    factors: Factors[Tensor],
    rates: Rates,
    share: int,
) -> None:
    """Process ratings (B,) together.

    `user` indexes the rows of `s_kf`, whose steps are `share` times as long: 2 if they are p + z (SVD++).
    """
    items, item_j = item.unique(return_inverse=True)
    s_bf, q_bf = s_kf[user], factors.q_if[item]
    q_jf, bias_j = factors.q_if[items], factors.bias_i[items]
    error = rating - factors.mean - bias_k[user] - bias_j[item_j] - (s_bf * q_bf).sum(1)
    count_k, count_j = (
        sum_by_index(user, torch.ones_like(error), bias_k),
        sum_by_index(item_j, torch.ones_like(error), bias_j),
    )

    keep, keep_bias = 1 - rates.lr * rates.reg, 1 - rates.lr * rates.reg_bias
    step_kf, step_jf = (
        limited_step(user, error, q_bf, s_kf, share * rates.lr),
        limited_step(item_j, error, s_bf, q_jf, rates.lr),
    )
    s_kf.mul_((keep**count_k)[:, None]).add_(step_kf)
    kept_k.mul_(keep**count_k)
    factors.q_if[items] = (keep**count_j)[:, None] * q_jf + step_jf
    bias_k.mul_(keep_bias**count_k).add_(sum_by_index(user, error, bias_k) * gain(count_k, rates.lr))
    factors.bias_i[items] = keep_bias**count_j * bias_j + sum_by_index(item_j, error, bias_j) * gain(count_j, rates.lr)


def limited_step(index: Tensor, error: Tensor, other_bf: Tensor, like_nf: Tensor, lr: float) -> Tensor:
    """Return the summed step of each row, (n, f): its gradient times the length that SGD would follow it."""
    gradient_nf = torch.zeros_like(like_nf).index_add_(0, index, error[:, None] * other_bf)
    slope = (gradient_nf[index] * other_bf).sum(1)
    length_n = gradient_nf.square().sum(1).clamp(min=torch.finfo(gradient_nf.dtype).tiny)
    curvature_n = sum_by_index(index, slope.square(), length_n) / length_n
    return gradient_nf * gain(curvature_n, lr)[:, None]


def gain(curvature: Tensor, lr: float) -> Tensor:
    """Return (1 - exp(-lr c)) / c, the length that many small steps follow a gradient; lr where the curvature is 0."""
    small = curvature * lr < 1e-4
    return torch.where(small, lr, -torch.expm1(-lr * curvature) / curvature.masked_fill(small, 1))


def step_implicit(block: Block[Tensor], user: Tensor, moved_kf: Tensor, kept_k: Tensor, y_if: Tensor) -> None:
    """Update each y_i by the movement of its users, limited because all users move it at the same time."""
    items, item_j = block.item.unique(return_inverse=True)
    y_jf, norm_k1 = y_if[items], norms(block)
    step_jf = torch.zeros_like(y_jf).index_add_(0, item_j, (moved_kf * norm_k1)[user])
    taken_kf = embedding_bag(item_j, step_jf, block.start[:-1], mode="sum") * norm_k1
    wanted, length = (taken_kf * moved_kf).sum(), taken_kf.square().sum()
    step_jf *= (OVERSHOOT * wanted / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(0, 1)
    kept_j = sum_by_index(item_j, kept_k.log()[user], y_jf[:, 0]).exp()
    y_if[items] = kept_j[:, None] * y_jf + step_jf


def user_vectors(block: Block[Tensor], factors: Factors[Tensor]) -> Tensor:
    """Return p_u, for SVD++ plus the normalised sum of y_i over the user's items, (n, f)."""
    p_kf = factors.p_uf[block.users]
    if len(factors.y_if) == 0:
        return p_kf
    return p_kf + embedding_bag(block.item, factors.y_if, block.start[:-1], mode="sum") * norms(block)


def norms(block: Block[Tensor]) -> Tensor:
    """Return 1 / sqrt(number of rows) of each user, (n, 1)."""
    return block.start.diff().clamp(min=1).rsqrt()[:, None]


def sum_by_index(index: Tensor, values: Tensor, like_n: Tensor) -> Tensor:
    """Return the sum of the values of each index, (n,)."""
    return torch.zeros_like(like_n).index_add_(0, index, values)
