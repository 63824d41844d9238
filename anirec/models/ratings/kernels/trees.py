"""Sums of regression trees over rows, compiled."""

import numba
import numpy as np
from numpy.typing import NDArray

from anirec.threads import in_threads

ROWS = 4096  # of a chunk


def sum_trees(
    rows_nf: NDArray[np.float32],
    root: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    child: NDArray[np.int32],
    value: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the sum of the values of the leaves in which each row ends, (n,).

    Args:
        rows_nf: Features, (n, F).
        root: First node of each tree.
        feature: Feature that each node compares.
        threshold: Largest value of the feature that goes to the left.
        child: Left and right child of each node, (n_nodes, 2); 0 for a leaf.
        value: Value of each leaf.
    """
    sum_n = np.zeros(len(rows_nf))

    def some(first: int, last: int) -> None:
        add_leaves(first, last, rows_nf, root, feature, threshold, child, value, sum_n)

    in_threads(some, len(rows_nf), chunk=ROWS)
    return sum_n


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_leaves(first, last, rows_nf, root, feature, threshold, child, value, sum_n):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        for start in root:
            node = start
            while child[node, 0] > 0:
                node = child[node, 0 if rows_nf[n, feature[node]] <= threshold[node] else 1]
            sum_n[n] += value[node]
