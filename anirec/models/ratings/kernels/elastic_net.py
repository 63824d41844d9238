"""Elastic nets with non-negative weights, of each column of a matrix on the others, from its Gram matrix.

The active weights of a column, those that may differ from zero, are few. Coordinate descent runs on the part of the
Gram matrix that belongs to them. Then the gradient of all others is brought up to date, and those that violate the
optimality conditions most become active.

Axes: i column to fit, j other column, a active weight.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.models.ratings.kernels.neighbours import keep_largest, move_best
from anirec.threads import in_threads

COLUMNS_PER_TASK = 16
AT_ONCE = 32  # weights that become active together
TOLERANCE = 1e-4  # of a weight, relative to the largest of its column
MAX_ROUNDS, MAX_PASSES = 200, 100
TILE = 512
NO_SUM = {"contract", "nsz"}  # SIMD without a change of the order of sums
Array = NDArray[Any]


def mirror(lower_nn: Array) -> None:
    """Copy the lower triangle of a square matrix to the upper one, tile by tile."""
    n = len(lower_nn)

    def task(first: int, last: int) -> None:
        rows = slice(first, last)
        lower_nn[:first, rows] = lower_nn[rows, :first].T
        tile = lower_nn[rows, rows]
        tile[:] = np.tril(tile) + np.tril(tile, -1).T

    in_threads(task, n, chunk=TILE)


def fit_columns(
    first: int, last: int, gram_ij: Array, l1: float, l2: float, neighbour_ik: Array, weight_ik: Array
) -> None:
    """Fill the rows from `first` to before `last` of the tables with the largest weights of each column.

    Args:
        first: First column.
        last: Column after the last one.
        gram_ij: Gram matrix, float32 (n, n).
        l1: Penalty on the sum of the weights.
        l2: Penalty on half the sum of their squares.
        neighbour_ik: Columns with the largest weights of each column, int32 (n, K).
        weight_ik: Their weights, largest first, float32 (n, K).
    """

    def task(begin: int, end: int) -> None:
        fit_some(first + begin, first + end, gram_ij, np.float32(l1), np.float32(l2), neighbour_ik, weight_ik)

    in_threads(task, last - first, chunk=COLUMNS_PER_TASK)


@numba.njit(cache=True, nogil=True, fastmath=NO_SUM, error_model="numpy")
def fit_some(
    first: int, last: int, gram_ij: Array, l1: np.float32, l2: np.float32, neighbour_ik: Array, weight_ik: Array
) -> None:
    n = len(gram_ij)
    weight_j, keys = np.zeros(n, np.float32), np.empty(n, np.int64)
    left_j, excess_j = np.empty(n, np.float32), np.empty(n, np.float32)
    bits_j = excess_j.view(np.int32)
    active = np.empty(n, np.int32)
    inner_ab = np.empty((256, 256), np.float32)
    left_a, weight_a = np.empty(n, np.float32), np.empty(n, np.float32)
    square_j = np.diag(gram_ij) + l2
    for i in range(first, last):
        weight_j[:] = 0
        left_j[:] = gram_ij[i]  # the gradient: products of column i, less what is fitted, with each column
        n_active, smallest = 0, np.float32(0)
        for _ in range(MAX_ROUNDS):
            n_found = 0
            for j in range(n):
                excess_j[j] = (left_j[j] - l1) / square_j[j]  # the weight that it would get
            excess_j[i] = -1
            for a in range(n_active):
                excess_j[active[a]] = -1
            for j in range(n):
                if excess_j[j] > smallest:
                    keys[n_found] = (np.int64(bits_j[j]) << 32) | j
                    n_found += 1
            if n_found == 0:
                break
            if n_found > AT_ONCE:
                n_found, _ = move_best(keys, n_found, AT_ONCE)
                n_found = AT_ONCE
            n_before = n_active
            for k in range(n_found):
                active[n_active] = keys[k] & 0xFFFFFFFF
                n_active += 1
            if n_active > len(inner_ab):
                wider = np.empty((2 * len(inner_ab), 2 * len(inner_ab)), np.float32)
                wider[:n_before, :n_before] = inner_ab[:n_before, :n_before]
                inner_ab = wider
            for a in range(n_before, n_active):
                row_j = gram_ij[active[a]]
                for b in range(n_active):
                    inner_ab[a, b] = row_j[active[b]]
                    inner_ab[b, a] = inner_ab[a, b]
            for a in range(n_active):
                weight_a[a] = weight_j[active[a]]
                left_a[a] = left_j[active[a]]
            descend(n_active, inner_ab, left_a, weight_a, l1, l2)
            smallest = np.float32(TOLERANCE) * weight_a[:n_active].max()
            for a in range(n_active):
                j = active[a]
                change = weight_a[a] - weight_j[j]
                if change != 0:
                    weight_j[j] = weight_a[a]
                    row_j = gram_ij[j]
                    for k in range(n):
                        left_j[k] -= change * row_j[k]
        keep_largest(weight_j, keys, neighbour_ik[i], weight_ik[i])


@numba.njit(cache=True, nogil=True, fastmath=NO_SUM, error_model="numpy")
def descend(n: int, gram_ab: Array, left_a: Array, weight_a: Array, l1: np.float32, l2: np.float32) -> None:
    """Pass over the first n weights until they change by little; `left_a` is their gradient."""
    for _ in range(MAX_PASSES):
        largest, moved = np.float32(0), np.float32(0)
        for a in range(n):
            square = gram_ab[a, a]
            weight = max(np.float32(0), (left_a[a] + square * weight_a[a] - l1) / (square + l2))
            change = weight - weight_a[a]
            if change != 0:
                weight_a[a] = weight
                row_b = gram_ab[a]
                for b in range(n):
                    left_a[b] -= change * row_b[b]
                moved = max(moved, abs(change))
            largest = max(largest, weight)
        if moved <= np.float32(TOLERANCE) * largest:
            break
