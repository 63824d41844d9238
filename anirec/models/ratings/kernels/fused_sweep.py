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

from anirec.data.ratings.interactions import Interactions
from anirec.models.ratings.kernels import Factors, Rates, as_numpy
from anirec.models.ratings.kernels.grid import Grid, strata
from anirec.threads import in_threads

RUN = 32  # consecutive users that are processed in order, so that their factors are read from memory in sequence
# Sums may be reordered (SIMD), but NaN must be preserved: it marks rows without a rating.
CACHE_LINE = 16  # float32 values
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
    # Threads change offsets of different items at once: each is in a cache line of its own.
    apart = np.empty((len(tables.bias_i), CACHE_LINE), np.float32)
    apart[:, 0] = tables.bias_i
    tables_apart = tables._replace(bias_i=apart[:, 0])
    for stratum in np.array_split(blocks, n_parts)[part]:

        def learn(first: int, last: int, stratum: Array = stratum) -> None:
            sweep_blocks(stratum[first:last], grid.users, grid.start, grid.item, grid.rating, tables_apart, rates, key)

        in_threads(learn, len(stratum), chunk=-(-len(stratum) // torch.get_num_threads()))
    tables.bias_i[:] = apart[:, 0]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sweep_blocks(  # noqa: PLR0915
    blocks: Array,
    users: Array,
    start: Array,
    item: Array,
    rating: Array,
    factors: Factors[Array],
    rates: Rates,
    seed: int,
) -> None:
    """Process the rows of blocks, which are pairs of a group of users and one of items.

    Runs of users come in random order, and each user's ratings. Two ratings are processed at a time: the product of the
    second item with s as the first leaves it would have to wait for the first, but it follows from products that are
    independent, since (keep s + c q_i) · q_j = keep s · q_j + c q_i · q_j.

    All loops are in one function: a call with arrays counts their references, which costs as much as a rating.
    """
    mean, bias_u, bias_i = factors.mean.item(), factors.bias_u, factors.bias_i
    p_uf, q_if, y_if = factors.p_uf, factors.q_if, factors.y_if
    n_factors, implicit, one = q_if.shape[1], len(y_if) > 0, np.float32(1)
    share = np.float32(2 if implicit else 1)
    step, keep = np.float32(rates.lr), np.float32(1 - rates.lr * rates.reg)
    keep_bias = np.float32(1 - rates.lr * rates.reg_bias)
    s_f, before_f = np.empty(n_factors, np.float32), np.empty(n_factors, np.float32)
    rows, runs = np.empty(longest_list(blocks, users, start), np.int64), np.empty(len(bias_u) // RUN + 1, np.int64)

    for block in range(len(blocks)):
        first_user, last_user, group = users[blocks[block, 0]], users[blocks[block, 0] + 1], blocks[block, 1]
        n_runs = -(-(last_user - first_user) // RUN)
        for t in range(n_runs):
            runs[t] = first_user + t * RUN
        shuffle(runs, n_runs, seed + group + first_user)
        for t in range(n_runs * RUN):
            u = runs[t // RUN] + t % RUN
            if u >= last_user:
                continue
            first, last, n = start[group, u], start[group, u + 1], 0
            for row in range(first, last):
                if not np.isnan(rating[row]):
                    rows[n] = row
                    n += 1
            if n == 0:
                continue
            shuffle(rows, n, seed + group + u)

            norm = one / np.sqrt(np.float32(last - first))
            if implicit:  # s = p_u + norm Σ y_j
                for f in range(n_factors):
                    s_f[f] = 0
                for row in range(first, last - 3, 4):
                    a, b, c, d = item[row], item[row + 1], item[row + 2], item[row + 3]
                    for f in range(n_factors):
                        s_f[f] += (y_if[a, f] + y_if[b, f]) + (y_if[c, f] + y_if[d, f])
                for row in range(last - (last - first) % 4, last):
                    j = item[row]
                    for f in range(n_factors):
                        s_f[f] += y_if[j, f]
                for f in range(n_factors):
                    s_f[f] = p_uf[u, f] + norm * s_f[f]
                    before_f[f] = s_f[f]
            else:
                for f in range(n_factors):
                    s_f[f] = p_uf[u, f]

            bias = bias_u[u]
            for k in range(0, n - 1, 2):
                i, j = item[rows[k]], item[rows[k + 1]]
                at_i, at_j, between = np.float32(0), np.float32(0), np.float32(0)
                for f in range(n_factors):
                    s, q_i, q_j = s_f[f], q_if[i, f], q_if[j, f]
                    at_i += s * q_i
                    at_j += s * q_j
                    between += q_i * q_j
                by_i = step * (rating[rows[k]] - mean - bias - bias_i[i] - at_i)
                bias = keep_bias * bias + by_i
                bias_i[i] = keep_bias * bias_i[i] + by_i
                at_j = keep * at_j + share * by_i * between
                by_j = step * (rating[rows[k + 1]] - mean - bias - bias_i[j] - at_j)
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
            bias_u[u] = bias

            if implicit:  # p_u and the y_j get half of the movement of s each
                kept = np.float32(keep**n)
                for f in range(n_factors):
                    moved = (s_f[f] - kept * before_f[f]) / share
                    p_uf[u, f] = kept * p_uf[u, f] + moved
                    s_f[f] = norm * moved
                for row in range(first, last):
                    j = item[row]
                    for f in range(n_factors):
                        y_if[j, f] = kept * y_if[j, f] + s_f[f]
            else:
                for f in range(n_factors):
                    p_uf[u, f] = s_f[f]


def fill_user_vectors(rows: Interactions, factors: Factors[Tensor], out_uf: Tensor) -> None:
    """Set each row of `out_uf` to p_u plus the normalised sum of the y of all items of user u."""
    tables, out = Factors(*as_numpy(factors)), out_uf.numpy()

    def fill(first: int, last: int) -> None:
        add_implicit(first, last, rows.indptr, rows.item, tables.p_uf, tables.y_if, out)

    in_threads(fill, rows.n_users, chunk=-(-rows.n_users // torch.get_num_threads()))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_implicit(first: int, last: int, start: Array, item: Array, p_uf: Array, y_if: Array, out_uf: Array) -> None:
    n_factors = p_uf.shape[1]
    for u in range(first, last):
        for f in range(n_factors):
            out_uf[u, f] = 0
        for row in range(start[u], start[u + 1]):
            j = item[row]
            for f in range(n_factors):
                out_uf[u, f] += y_if[j, f]
        norm = np.float32(1) / np.sqrt(np.float32(max(1, start[u + 1] - start[u])))
        for f in range(n_factors):
            out_uf[u, f] = p_uf[u, f] + norm * out_uf[u, f]


@numba.njit(cache=True, nogil=True)
def longest_list(blocks: Array, users: Array, start: Array) -> int:
    """Return the largest number of rows of a user in one of the blocks."""
    longest = 0
    for b in range(len(blocks)):
        c = blocks[b, 1]
        for u in range(users[blocks[b, 0]], users[blocks[b, 0] + 1]):
            longest = max(longest, start[c, u + 1] - start[c, u])
    return longest


@numba.njit(cache=True, nogil=True)
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
