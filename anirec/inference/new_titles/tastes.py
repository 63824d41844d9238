"""Tastes: groups of users who like similar titles, the titles that describe each group, and its view of a new title."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.inference.lists import may_be_adult
from anirec.inference.new_titles.audience import Audience, FloatArray
from anirec.inference.titles.franchises import franchises

TITLES_PER_TASTE = 3  # titles that describe a taste
CANDIDATES_PER_TASTE = 30  # of which adult titles and sequels are left out
N_INITS = 4  # runs of k-means; the one with the lowest inertia is kept


def cluster_users(vectors: NDArray[np.float32], n: int, *, seed: int) -> NDArray[np.int64]:
    """Return the taste cluster, 0 to n - 1, of each user, (n_users,): k-means on the directions of their vectors.

    Only the direction is used: the length of a vector grows with the number of ratings, not with what a user likes.

    Args:
        vectors: User vectors, (n_users, width).
        n: Number of clusters; at most the number of users.
        seed: Seed of the initial centres.

    Raises:
        UserError: There are fewer users than clusters.
    """
    from sklearn.cluster import KMeans

    if n > len(vectors):
        raise UserError(f"--tastes {n}: the run has {len(vectors)} users; set --tastes to at most that")
    centred = vectors - vectors.mean(axis=0)
    directions = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return KMeans(n, n_init=N_INITS, random_state=seed).fit_predict(directions).astype(np.int64)


def distinctive_items(liked: pl.DataFrame, n: int, *, n_items: int) -> list[list[int]]:
    """Return, for each of n tastes, the items that it likes more than other tastes do, most distinctive first.

    Items are ranked by the likes in excess of what independence of taste and item predicts, divided by the square root
    of that expectation (the Pearson residual). So neither universal favourites nor items with a single like rank high.

    Args:
        liked: taste and item (integers), one row per rating that counts as a like.
        n: Number of tastes.
        n_items: Maximum number of items per taste.
    """
    of_taste = liked.group_by("taste").agg(of_taste=pl.len())
    of_item = liked.group_by("item").agg(of_item=pl.len())
    counts = liked.group_by("taste", "item").agg(n=pl.len()).join(of_taste, on="taste").join(of_item, on="item")
    expected = pl.col("of_taste") * pl.col("of_item") / len(liked)
    counts = counts.with_columns(residual=(pl.col("n") - expected) / expected.sqrt()).filter(pl.col("residual") > 0)
    counts = counts.sort(["residual", "item"], descending=[True, False])
    return [counts.filter(taste=taste).head(n_items)["item"].to_list() for taste in range(n)]


@dataclass(frozen=True)
class Tastes:
    """The users of a run, divided into groups.

    Args:
        audience: The users.
        taste_u: Group of each user, (n_users,); see `cluster_users`.
        loves: Titles that describe each group.
    """

    audience: Audience
    taste_u: NDArray[np.int64]
    loves: Sequence[Sequence[str]]

    @classmethod
    def find(cls, audience: Audience, n: int, *, adult: bool, seed: int) -> "Tastes":
        """Divide the users into n groups, described by titles that they like more than others do.

        Args:
            audience: The users.
            n: Number of groups.
            adult: Whether adult titles may describe a group.
            seed: Seed of the clustering.

        Raises:
            UserError: There are fewer users than groups.
        """
        taste_u = cluster_users(audience.model.user_table[:-1].numpy(), n, seed=seed)
        liked = audience.rated.filter(pl.col("rating") >= audience.threshold)
        liked = liked.select("item", taste=pl.Series(taste_u[liked["user"].to_numpy()]))
        items = audience.items
        named = items.select("title", item=pl.int_range(pl.len()), is_shown=pl.lit(adult) | ~may_be_adult(items))
        types = items["type"].to_list() if "type" in items.columns else None
        named = named.with_columns(franchise=pl.Series(franchises(items["title"].to_list(), types)))
        loves = []
        for indices in distinctive_items(liked, n, n_items=CANDIDATES_PER_TASTE):
            found = named[indices].filter("is_shown").unique("franchise", keep="first", maintain_order=True)
            loves.append(found["title"].head(TITLES_PER_TASTE).to_list())
        return cls(audience, taste_u, loves)

    def table(self, rating_u: FloatArray, fan_u: NDArray[np.float64]) -> pl.DataFrame:
        """Return one row per taste, that with the highest lift first.

        `audience` and `fans` are the taste's shares of all ratings and of all fans; `share` is the share of fans within
        the taste; `rating` is its mean predicted rating; `lift` is that rating minus the users' own rating bias,
        relative to the mean over all users.

        Args:
            rating_u: Predicted rating of the title by each user, (n_users,).
            fan_u: Probability that each user is a fan, (n_users,).
        """
        audience = self.audience
        lift_u = rating_u - audience.model.rating_scale.point * audience.model.baseline.user[:-1].numpy()
        users = pl.DataFrame(
            {
                "taste": self.taste_u,
                "weight": audience.weight_u,
                "lift": lift_u - audience.weighted_mean(lift_u),
                "rating": rating_u,
                "is_fan": fan_u,
            }
        )
        weight, rating, is_fan = pl.col("weight"), pl.col("rating"), pl.col("is_fan")
        rows = users.group_by("taste").agg(
            users=pl.len(),
            audience=weight.sum() / audience.weight_u.sum(),
            rating=(rating * weight).sum() / weight.sum(),
            lift=(pl.col("lift") * weight).sum() / weight.sum(),
            share=(is_fan * weight).sum() / weight.sum(),
            fans=(is_fan * weight).sum() / (fan_u * audience.weight_u).sum(),
        )
        loves = pl.Series([list(names) for names in self.loves], dtype=pl.List(pl.String))
        names = pl.DataFrame({"taste": range(len(loves)), "loves": loves})
        return rows.join(names, on="taste").sort(["lift", "taste"], descending=[True, False]).drop("taste")
