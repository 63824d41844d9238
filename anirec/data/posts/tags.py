"""Which tags go together, and which keep apart: phi, the correlation of two yes-or-no columns.

phi = (n n_both - n_a n_b) / sqrt(n_a (n - n_a) n_b (n - n_b)): 1 for tags that always stand together, 0 for
independent ones, -1 for tags of which every post has exactly one.
Source: Yule, On the Methods of Measuring Association between Two Attributes, J. R. Stat. Soc. 75, 1912.
"""

from collections.abc import Sequence

import numba
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.threads import in_threads


def phi_coefficients(pairs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """(n_tags, n_tags): phi of each pair, 0 where a tag is on no post or on all.

    Args:
        pairs: (n_tags, n_tags), symmetric: how many posts have both tags; on the diagonal, the tag.
        n: Number of posts.

    >>> phi_coefficients(np.array([[2.0, 2.0], [2.0, 2.0]]), 4)
    array([[1., 1.],
           [1., 1.]])
    """
    count = np.diagonal(pairs)
    spread = np.sqrt(count * (n - count))
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = (n * pairs - np.outer(count, count)) / np.outer(spread, spread)
    return np.nan_to_num(phi, posinf=0, neginf=0)


def strongest_pairs(
    tags: Sequence[str], phi: NDArray[np.float64], pairs: NDArray[np.float64], top: int
) -> pl.DataFrame:
    """tag, other, phi, n_both of the pairs with the largest absolute phi, those first."""
    row, column = np.tril_indices(len(tags), -1)
    values = phi[row, column]
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    row, column = row[order], column[order]
    names = np.asarray(tags, dtype=object)
    found = {"tag": names[column], "other": names[row], "phi": values[order], "n_both": pairs[row, column]}
    return pl.DataFrame(found, schema_overrides={"tag": pl.String, "other": pl.String, "n_both": pl.Int64})


def phi_to_tags(some: Sequence[str], tags: Sequence[str], phi: NDArray[np.float64]) -> pl.DataFrame:
    """`tag`, and a column of phi to each of `some` tags: all other tags than these.

    >>> phi_to_tags(["solo"], ["solo", "1girl"], np.array([[1.0, 0.5], [0.5, 1.0]]))["solo"].to_list()
    [0.5]
    """
    place = {tag: number for number, tag in enumerate(tags)}
    table = pl.DataFrame({"tag": tags, **{tag: phi[place[tag]] for tag in some}})
    return table.filter(~pl.col("tag").is_in(list(some)))


DENSE_ROWS = 1 << 13  # posts made dense at once on a device, 4 bytes x tags each


def add_pairs(gram: Tensor, start: Tensor, tag: Tensor) -> None:
    """Add, for every pair of tags, the number of posts that have both; on the diagonal, that have the tag.

    Args:
        gram: (n_tags, n_tags) float64; only its lower half and diagonal are kept up, see `symmetrise`.
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


def symmetrise(gram: Tensor) -> Tensor:
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
