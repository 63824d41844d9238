"""One SGD sweep of SVD or SVD++ over whole users, fused into a single loop for the CPU.

Each rating takes one pass over its item's row. SVD++ reads each `y_i` of a user once before the user's ratings and
updates it once after them. The result equals that of updating every `y_i` at every rating: all `y_i` of a user move by
the same step, so their normalised sum z_u follows the same recurrence as p_u. With s = p_u + z_u, a rating moves s by
lr (2 e q_i - reg s); apart from the decay, half of that movement belongs to p_u and half to z_u.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anirec.models.ratings.kernels import Block, Factors, Rates, as_numpy
from anirec.threads import in_threads

USERS_PER_TASK = 256
# Sums may be reordered (SIMD), but NaN must be preserved: it marks rows without a rating.
FAST = {"reassoc", "contract", "nsz", "arcp"}
Array = NDArray[Any]


def fused_sweep(
    block: Block[Tensor], factors: Factors[Tensor], rates: Rates, *, seed: tuple[int, ...], parallel: bool
) -> None:
    """Update the factors in place for all users of the block, in a random order given by `seed`.

    With `parallel`, threads update the factors without locks and may overwrite each other's steps.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(block.users))
    rows, tables = Block(*as_numpy(block)), Factors(*as_numpy(factors))
    shuffle_seed = int(random.integers(2**62))

    def learn(first: int, last: int) -> None:
        sweep_users(order[first:last], rows, tables, rates, shuffle_seed)

    if parallel:
        in_threads(learn, len(order), chunk=USERS_PER_TASK)
    else:
        learn(0, len(order))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sweep_users(order: Array, block: Block[Array], factors: Factors[Array], rates: Rates, seed: int) -> None:
    """Process the block's users in `order`, and the ratings of each user in random order."""
    mean, bias_i, q_if = factors.mean.item(), factors.bias_i, factors.q_if
    n_factors, one = q_if.shape[1], np.float32(1)
    share = np.float32(2 if len(factors.y_if) else 1)
    step = np.float32(rates.lr)
    keep, keep_bias = np.float32(1 - rates.lr * rates.reg), np.float32(1 - rates.lr * rates.reg_bias)
    s_f, before_f = np.empty(n_factors, np.float32), np.empty(n_factors, np.float32)
    rows = np.empty(len(block.item), np.int64)

    for k in order:
        u, first, last = block.users[k], block.start[k], block.start[k + 1]
        n = shuffled_rated(block.rating, first, last, seed + u, rows)
        if n == 0:
            continue
        fill_user_vector(u, block.item[first:last], factors, s_f)
        before_f[:] = s_f
        bias, kept = factors.bias_u[u], one
        for row in rows[:n]:
            i = block.item[row]
            dot = np.float32(0)
            for f in range(n_factors):
                dot += s_f[f] * q_if[i, f]
            by = step * (block.rating[row] - mean - bias - bias_i[i] - dot)
            bias = keep_bias * bias + by
            bias_i[i] = keep_bias * bias_i[i] + by
            by_user = share * by
            for f in range(n_factors):
                q, s = q_if[i, f], s_f[f]
                q_if[i, f] = keep * q + by * s
                s_f[f] = keep * s + by_user * q
            kept *= keep
        factors.bias_u[u] = bias
        for f in range(n_factors):
            s_f[f] = (s_f[f] - kept * before_f[f]) / share
        update_user(u, block.item[first:last], factors, s_f, kept)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def fill_user_vector(u: int, items: Array, factors: Factors[Array], s_f: Array) -> None:
    """Set s to p_u, for SVD++ plus the normalised sum of the items' y."""
    p_uf, y_if = factors.p_uf, factors.y_if
    s_f[:] = 0
    if len(y_if):
        for j in items:
            for f in range(len(s_f)):
                s_f[f] += y_if[j, f]
    norm = np.float32(1) / np.sqrt(np.float32(len(items)))
    for f in range(len(s_f)):
        s_f[f] = p_uf[u, f] + norm * s_f[f]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def update_user(u: int, items: Array, factors: Factors[Array], moved_f: Array, kept: np.float32) -> None:
    """Apply the movement by the user's ratings to p_u and, for SVD++, to the items' y."""
    p_uf, y_if = factors.p_uf, factors.y_if
    norm = np.float32(1) / np.sqrt(np.float32(len(items)))
    for f in range(len(moved_f)):
        p_uf[u, f] = kept * p_uf[u, f] + moved_f[f]
        moved_f[f] *= norm
    if len(y_if):
        for j in items:
            for f in range(len(moved_f)):
                y_if[j, f] = kept * y_if[j, f] + moved_f[f]


@numba.njit(cache=True, nogil=True)
def shuffled_rated(rating: Array, first: int, last: int, seed: int, rows: Array) -> int:
    """Fill `rows` with the rated rows of `first:last` in random order and return their number."""
    n = 0
    for row in range(first, last):
        if not np.isnan(rating[row]):
            rows[n] = row
            n += 1
    # splitmix64: a few operations per number, and neighbouring seeds give independent streams.
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for t in range(n - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        other = np.int64(((z >> np.uint64(32)) * np.uint64(t + 1)) >> np.uint64(32))
        rows[t], rows[other] = rows[other], rows[t]
    return n
