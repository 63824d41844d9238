"""One SGD sweep of SVD or SVD++, fused into a single loop for the CPU.

Each rating takes one pass over its item's row. SVD++ reads each `y_i` of a user once before the user's ratings and
updates it once after them. The result equals that of updating every `y_i` at every rating: all `y_i` of a user move by
the same step, so their normalised sum z_u follows the same recurrence as p_u. With s = p_u + z_u, a rating moves s by
lr (2 e q_i - reg s); apart from the decay, half of that movement belongs to p_u and half to z_u.
"""

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.models.ratings.kernels import Factors, Rates, as_numpy
from anirec.models.ratings.kernels.grid import Grid, strata
from anirec.threads import in_threads

# The helpers of `sweep_block` are inlined by numba: a call would cost as much as a rating, for counting references.
RUN = 32  # consecutive users that are processed in order, so that their factors are read from memory in sequence
# Sums may be reordered (SIMD), but NaN must be preserved: it marks rows without a rating.
FAST = {"reassoc", "contract", "nsz", "arcp"}
Array = NDArray[Any]


def fused_sweep(
    grid: Grid[Array],
    factors: Factors[Tensor],
    rates: Rates,
    *,
    seed: tuple[int, ...],
    part: int = 0,
    n_parts: int = 1,
) -> None:
    """Update the factors in place, by one of `n_parts` parts of a sweep over all rows.

    The order of the blocks and of the rows in a block is random and depends only on `seed`. The blocks of a stratum run
    in several threads.

    Args:
        grid: The rows. For SVD++, in one group of items, since a user changes the `y_i` of all of its items.
        factors: Tables that are updated.
        rates: Learning rate and penalties.
        seed: Seed of the sweep, the same for all of its parts.
        part: Number of the part, from 0.
        n_parts: Number of parts of the sweep.
    """
    random = np.random.default_rng(seed)
    blocks = strata(len(grid.users) - 1, len(grid.start), random)
    key, tables = int(random.integers(2**62)), Factors(*as_numpy(factors))
    for stratum in np.array_split(blocks, n_parts)[part]:

        def learn(first: int, last: int, stratum: Array = stratum) -> None:
            sweep_blocks(stratum[first:last], grid.users, grid.start, grid.item, grid.rating, tables, rates, key)

        in_threads(learn, len(stratum), chunk=-(-len(stratum) // torch.get_num_threads()))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sweep_blocks(
    blocks: Array,
    users: Array,
    start: Array,
    item: Array,
    rating: Array,
    factors: Factors[Array],
    rates: Rates,
    seed: int,
) -> None:
    """Process the rows of blocks, which are pairs of a group of users and one of items."""
    for b in range(len(blocks)):
        g, c = blocks[b]
        sweep_block(users[g], users[g + 1], start[c], item, rating, factors, rates, seed + c)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sweep_block(
    first_user: int,
    last_user: int,
    start: Array,
    item: Array,
    rating: Array,
    factors: Factors[Array],
    rates: Rates,
    seed: int,
) -> None:
    """Process the rows of a range of users, in runs of users in random order, each user's ratings in random order.

    The rows of user u are `start[u]:start[u + 1]`.
    """
    p_uf, q_if = factors.p_uf, factors.q_if
    share = np.float32(2 if len(factors.y_if) else 1)
    step, keep = np.float32(rates.lr), np.float32(1 - rates.lr * rates.reg)
    keep_bias = np.float32(1 - rates.lr * rates.reg_bias)
    s_f, before_f = np.empty(p_uf.shape[1], np.float32), np.empty(p_uf.shape[1], np.float32)
    rows = np.empty(max(0, np.diff(start[first_user : last_user + 1]).max()) if last_user > first_user else 0, np.int64)
    runs = np.arange(-(-(last_user - first_user) // RUN))
    shuffle(runs, len(runs), seed + first_user)

    for run in runs:
        first_of_run = first_user + run * RUN
        for u in range(first_of_run, min(first_of_run + RUN, last_user)):
            first, last = start[u], start[u + 1]
            n = rated_rows(rating, first, last, rows)
            if n == 0:
                continue
            shuffle(rows, n, seed + u)
            fill_user_vector(u, item[first:last], factors, s_f, before_f)
            factors.bias_u[u] = step_ratings(
                rows,
                n,
                item,
                rating,
                factors.mean.item(),
                factors.bias_u[u],
                factors.bias_i,
                q_if,
                s_f,
                step,
                share,
                keep,
                keep_bias,
            )
            update_user(u, item[first:last], factors, before_f, s_f, keep, n)


@numba.njit(fastmath=FAST, inline="always")
def step_ratings(
    rows: Array,
    n: int,
    item: Array,
    rating: Array,
    mean: np.float32,
    bias: np.float32,
    bias_i: Array,
    q_if: Array,
    s_f: Array,
    step: np.float32,
    share: np.float32,
    keep: np.float32,
    keep_bias: np.float32,
) -> np.float32:
    """Update s_u, the items' q_i and b_i by the first `n` of a user's ratings, in order; return the new b_u.

    Two ratings are processed at a time. The product of the second with s as the first leaves it, which would have to
    wait for the first, follows from products that are independent: (keep s + c q_i) · q_j = keep s · q_j + c q_i · q_j.
    """
    n_factors = len(s_f)
    for t in range(0, n - 1, 2):
        i, j = item[rows[t]], item[rows[t + 1]]
        at_i, at_j, between = np.float32(0), np.float32(0), np.float32(0)
        for f in range(n_factors):
            s, q_i, q_j = s_f[f], q_if[i, f], q_if[j, f]
            at_i += s * q_i
            at_j += s * q_j
            between += q_i * q_j
        by_i = step * (rating[rows[t]] - mean - bias - bias_i[i] - at_i)
        bias = keep_bias * bias + by_i
        bias_i[i] = keep_bias * bias_i[i] + by_i
        by_j = step * (rating[rows[t + 1]] - mean - bias - bias_i[j] - (keep * at_j + share * by_i * between))
        bias = keep_bias * bias + by_j
        bias_i[j] = keep_bias * bias_i[j] + by_j
        for f in range(n_factors):
            s, q_i, q_j = s_f[f], q_if[i, f], q_if[j, f]
            q_if[i, f] = keep * q_i + by_i * s
            s = keep * s + share * by_i * q_i
            q_if[j, f] = keep * q_j + by_j * s
            s_f[f] = keep * s + share * by_j * q_j
    if n % 2:
        i = item[rows[n - 1]]
        at_i = np.float32(0)
        for f in range(n_factors):
            at_i += s_f[f] * q_if[i, f]
        by_i = step * (rating[rows[n - 1]] - mean - bias - bias_i[i] - at_i)
        bias = keep_bias * bias + by_i
        bias_i[i] = keep_bias * bias_i[i] + by_i
        for f in range(n_factors):
            s, q_i = s_f[f], q_if[i, f]
            q_if[i, f] = keep * q_i + by_i * s
            s_f[f] = keep * s + share * by_i * q_i
    return bias


@numba.njit(fastmath=FAST, inline="always")
def fill_user_vector(u: int, items: Array, factors: Factors[Array], s_f: Array, copy_f: Array) -> None:
    """Set s to p_u, for SVD++ plus the normalised sum of the items' y; and `copy_f` to the same."""
    p_uf, y_if = factors.p_uf, factors.y_if
    for f in range(len(s_f)):
        s_f[f] = 0
    if len(y_if):
        for j in items:
            for f in range(len(s_f)):
                s_f[f] += y_if[j, f]
    norm = np.float32(1) / np.sqrt(np.float32(len(items)))
    for f in range(len(s_f)):
        s_f[f] = p_uf[u, f] + norm * s_f[f]
        copy_f[f] = s_f[f]


@numba.njit(fastmath=FAST, inline="always")
def update_user(
    u: int, items: Array, factors: Factors[Array], before_f: Array, s_f: Array, keep: np.float32, n: int
) -> None:
    """Set p_u to s; for SVD++, give p_u and the items' y half of the movement of s each, in place of s.

    Args:
        u: User.
        items: All items of the user.
        factors: Tables that are updated.
        before_f: s before the user's ratings.
        s_f: s after them.
        keep: What the decay leaves of a factor at each rating.
        n: Number of ratings.
    """
    p_uf, y_if = factors.p_uf, factors.y_if
    if len(y_if) == 0:
        for f in range(len(s_f)):
            p_uf[u, f] = s_f[f]
        return
    norm, kept = np.float32(1) / np.sqrt(np.float32(len(items))), np.float32(keep**n)
    for f in range(len(s_f)):
        moved = (s_f[f] - kept * before_f[f]) / np.float32(2)
        p_uf[u, f] = kept * p_uf[u, f] + moved
        s_f[f] = norm * moved
    for j in items:
        for f in range(len(s_f)):
            y_if[j, f] = kept * y_if[j, f] + s_f[f]


@numba.njit(inline="always")
def rated_rows(rating: Array, first: int, last: int, rows: Array) -> int:
    """Fill `rows` with the rated rows of `first:last` and return their number."""
    n = 0
    for row in range(first, last):
        if not np.isnan(rating[row]):
            rows[n] = row
            n += 1
    return n


@numba.njit(inline="always")
def shuffle(values: Array, n: int, seed: int) -> None:
    """Shuffle the first `n` values in place; with splitmix64, which takes a few operations per number.

    Neighbouring seeds give independent orders.
    """
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for t in range(n - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        other = np.int64(((z >> np.uint64(32)) * np.uint64(t + 1)) >> np.uint64(32))
        values[t], values[other] = values[other], values[t]
