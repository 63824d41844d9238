"""How often tags stand together: products of sparse rows of ones, summed into a dense matrix.

A post with t tags costs t² / 2 additions into 8 bytes x tags², which stays in the processor's cache; the dense product
that it replaces costs tags² multiplications a post.
"""

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.threads import in_threads

DENSE_ROWS = 1 << 13  # posts made dense at once on a device, 4 bytes x tags each


def add_pairs(gram: Tensor, start: Tensor, tag: Tensor) -> None:
    """Add, for every pair of tags, the number of posts that have both; on the diagonal, that have the tag.

    Args:
        gram: (n_tags, n_tags) float64; only its lower half and diagonal are kept up, see `whole`.
        start: int64 (B + 1,), where each post's tags begin.
        tag: int32, rising within a post.
    """
    if gram.device.type == "cpu":
        add_on_cpu(gram.numpy(), start.numpy(), tag.numpy())
    else:
        add_dense(gram, start, tag)


def add_dense(gram: Tensor, start: Tensor, tag: Tensor) -> None:
    """On any device, as products of matrices."""
    for first in range(0, len(start) - 1, DENSE_ROWS):
        bounds = start[first : first + DENSE_ROWS + 1]
        row = torch.repeat_interleave(torch.arange(len(bounds) - 1, device=gram.device), bounds.diff())
        x = torch.zeros(len(bounds) - 1, len(gram), device=gram.device)
        x[row, tag[bounds[0] : bounds[-1]].long()] = 1
        gram += x.T @ x  # whole numbers below 2^24 are exact


def add_on_cpu(gram: NDArray[np.float64], start: NDArray[np.int64], tag: NDArray[np.int32]) -> None:
    """Each thread counts its posts in a matrix of its own."""
    n_posts = len(start) - 1
    share = max(1, -(-n_posts // torch.get_num_threads()))
    counts: list[NDArray[np.float64]] = []

    def count(first: int, last: int) -> None:
        own = np.zeros_like(gram)
        count_pairs(start, tag, first, last, own)
        counts.append(own)

    in_threads(count, n_posts, chunk=share)
    for own in counts:
        gram += own


def whole(gram: Tensor) -> Tensor:
    """The symmetric matrix out of its lower half."""
    lower = gram.tril()
    return lower + lower.tril(-1).T


@numba.njit(cache=True, nogil=True)
def count_pairs(start, tag, first, last, gram):  # type: ignore[no-untyped-def]
    """The lower half: a post's tags rise."""
    for post in range(first, last):
        for i in range(start[post], start[post + 1]):
            row = gram[tag[i]]
            for j in range(start[post], i + 1):
                row[tag[j]] += 1
