"""Association of tags, measured by phi, the correlation of two binary variables.

phi = (n n_both - n_a n_b) / sqrt(n_a (n - n_a) n_b (n - n_b)): 1 for tags that always occur together, 0 for independent
tags, -1 for two tags of which every post has exactly one.
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

IMPLIED = 0.9  # share of the posts with a tag


def phi_coefficients(pairs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return phi of each pair of tags, (n_tags, n_tags); 0 where a tag is on no post or on all.

    Args:
        pairs: Number of posts that have both tags, (n_tags, n_tags), symmetric; on the diagonal, that have the tag.
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
    """Return tag, other, phi and n_both of the `top` pairs with the largest absolute phi, in decreasing order.

    Pairs in which one tag implies the other, such as a uniform and the school, are left out: at least `IMPLIED` of the
    posts with the rarer tag have the other one too.
    """
    count = np.diagonal(pairs)
    is_implied = (phi > 0) & (pairs >= IMPLIED * np.minimum(count, count[:, None]))
    row, column = np.nonzero(np.tril(~is_implied, -1))
    values = phi[row, column]
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    row, column = row[order], column[order]
    names = np.asarray(tags, dtype=object)
    found = {"tag": names[column], "other": names[row], "phi": values[order], "n_both": pairs[row, column]}
    return pl.DataFrame(found, schema_overrides={"tag": pl.String, "other": pl.String, "n_both": pl.Int64})


def phi_to_tags(some: Sequence[str], tags: Sequence[str], phi: NDArray[np.float64]) -> pl.DataFrame:
    """Return one row per tag that is not in `some`: `tag`, and a column of its phi with each tag in `some`.

    >>> phi_to_tags(["solo"], ["solo", "1girl"], np.array([[1.0, 0.5], [0.5, 1.0]]))["solo"].to_list()
    [0.5]
    """
    place = {tag: number for number, tag in enumerate(tags)}
    table = pl.DataFrame({"tag": tags, **{tag: phi[place[tag]] for tag in some}})
    return table.filter(~pl.col("tag").is_in(list(some)))


DENSE_ROWS = 1 << 13  # posts converted to dense rows at once on a device; each row takes 4 bytes per tag


def add_pairs(gram: Tensor, start: Tensor, tag: Tensor) -> None:
    """Add to `gram`, for every pair of tags, the number of posts that have both; on the diagonal, that have the tag.

    Args:
        gram: (n_tags, n_tags) float64; only the lower triangle with the diagonal is valid, see `symmetrise`.
        start: int64 (B + 1,); post b has the tags `tag[start[b]:start[b + 1]]`.
        tag: int32, in increasing order within a post.
    """
    if gram.device.type == "cpu":
        add_on_cpu(gram.numpy(), start.numpy(), tag.numpy())
    else:
        add_dense(gram, start, tag)


def add_dense(gram: Tensor, start: Tensor, tag: Tensor) -> None:
    """Implementation of `add_pairs` for any device, with matrix products."""
    for first in range(0, len(start) - 1, DENSE_ROWS):
        bounds = start[first : first + DENSE_ROWS + 1]
        row = torch.repeat_interleave(torch.arange(len(bounds) - 1, device=gram.device), bounds.diff())
        x = torch.zeros(len(bounds) - 1, len(gram), device=gram.device)
        x[row, tag[bounds[0] : bounds[-1]].long()] = 1
        gram += x.T @ x  # integers below 2^24 are exact in float32


def add_on_cpu(gram: NDArray[np.float64], start: NDArray[np.int64], tag: NDArray[np.int32]) -> None:
    """Implementation of `add_pairs` for the CPU; each thread counts in its own matrix."""
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
    """Return the symmetric matrix with the lower triangle of `gram`."""
    lower = gram.tril()
    return lower + lower.tril(-1).T


@numba.njit(cache=True, nogil=True)
def count_pairs(start, tag, first, last, gram):  # type: ignore[no-untyped-def]
    """Count pairs in the lower triangle, which holds all pairs since the tags of a post are in increasing order."""
    for post in range(first, last):
        for i in range(start[post], start[post + 1]):
            row = gram[tag[i]]
            for j in range(start[post], i + 1):
                row[tag[j]] += 1
