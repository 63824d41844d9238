"""Tastes: clusters of users, each told by the titles that it loves more than others do."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from anirec.errors import UserError

STARTS = 4  # of k-means, of which the best counts


def tastes_of(vectors: NDArray[np.float32], n: int, *, seed: int) -> NDArray[np.int64]:
    """(n_users,): which of n tastes, 0 to n - 1, each user has: k-means on the directions of their vectors.

    Args:
        vectors: Of the users, (n_users, width). Their length says how much is known of somebody, not what they like.
        n: At most the number of users.
        seed: Of the clusters' first centres.
    """
    if n > len(vectors):
        raise UserError(f"--tastes {n}: the run knows {len(vectors)} users; ask for fewer")
    own = vectors - vectors.mean(axis=0)
    own = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return KMeans(n, n_init=STARTS, random_state=seed).fit_predict(own).astype(np.int64)


def loved(liked: pl.DataFrame, n: int, *, titles: int) -> list[list[int]]:
    """For each of n tastes, the items that it loves more than others do, most of all first.

    An item counts by how many more of the taste's users like it than if all tastes were alike, in standard deviations
    of chance; so that neither what all love nor what one user loves comes first.

    Args:
        liked: One row a rating that is a liking: taste and item, both whole numbers.
        n: Number of tastes.
        titles: How many are told at most.
    """
    of_taste = liked.group_by("taste").agg(of_taste=pl.len())
    of_item = liked.group_by("item").agg(of_item=pl.len())
    counts = liked.group_by("taste", "item").agg(n=pl.len()).join(of_taste, on="taste").join(of_item, on="item")
    by_chance = pl.col("of_taste") * pl.col("of_item") / len(liked)
    counts = counts.with_columns(more=(pl.col("n") - by_chance) / by_chance.sqrt()).filter(pl.col("more") > 0)
    counts = counts.sort(["more", "item"], descending=[True, False])
    return [counts.filter(taste=taste).head(titles)["item"].to_list() for taste in range(n)]
