"""Which tags go together, and which keep apart: phi, the correlation of two yes-or-no columns.

phi = (n n_both - n_a n_b) / sqrt(n_a (n - n_a) n_b (n - n_b)): 1 for tags that always stand together, 0 for
independent ones, -1 for tags of which every post has exactly one.
Source: Yule, On the Methods of Measuring Association between Two Attributes, J. R. Stat. Soc. 75, 1912.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray


def correlations(pairs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """(n_tags, n_tags): phi of each pair, 0 where a tag is on no post or on all.

    Args:
        pairs: (n_tags, n_tags), symmetric: how many posts have both tags; on the diagonal, the tag.
        n: Number of posts.

    >>> correlations(np.array([[2.0, 2.0], [2.0, 2.0]]), 4)
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


def ties_to(some: Sequence[str], tags: Sequence[str], phi: NDArray[np.float64]) -> pl.DataFrame:
    """`tag`, and a column of phi to each of `some` tags: all other tags than these.

    >>> ties_to(["solo"], ["solo", "1girl"], np.array([[1.0, 0.5], [0.5, 1.0]]))["solo"].to_list()
    [0.5]
    """
    place = {tag: number for number, tag in enumerate(tags)}
    table = pl.DataFrame({"tag": tags, **{tag: phi[place[tag]] for tag in some}})
    return table.filter(~pl.col("tag").is_in(list(some)))
