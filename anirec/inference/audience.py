"""The users of a run as the audience of titles that do not exist yet, and how far its model may be trusted there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import cosine_similarity

from anirec.errors import UserError
from anirec.inference.histories import histories, scan
from anirec.inference.predict import load
from anirec.inference.recommend import titles
from anirec.inference.tables import LEVEL
from anirec.metrics.conformal import half_width, min_calibration_size, prediction_interval
from anirec.models.ratings.hybrid import Hybrid

Floats = NDArray[np.floating]


def chances(prediction: Floats, errors: Floats, weights: Floats, threshold: float) -> NDArray[np.float64]:
    """(n,): the weight of those errors that lift each prediction to the threshold, as a share of all.

    Args:
        prediction: (n,).
        errors: Ratings less predictions of rows that the model did not learn from, (m,); m >= 1.
        weights: What each of them counts, (m,); > 0.
        threshold: What must be reached; see `half_step`.

    >>> chances(np.array([6.0, 7.0, 9.0]), np.array([-1.0, 0.0, 1.0, 2.0]), np.ones(4), 8.0).tolist()
    [0.25, 0.5, 1.0]
    """
    order = np.argsort(errors)
    below = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
    place = np.searchsorted(errors[order].astype(np.float64), threshold - prediction.astype(np.float64))
    return 1 - below[place] / below[-1]


def half_step(ratings: Floats) -> float:
    """Half of what lies between a rating and the next: where ratings are whole, 7.5 is as good as an 8.

    >>> half_step(np.array([7.0, 10.0, 8.0])), half_step(np.array([7.0, 7.5, 9.0])), half_step(np.array([7.0, 7.0]))
    (0.5, 0.25, 0.0)
    """
    distinct = np.unique(ratings)
    return float(np.diff(distinct).min()) / 2 if len(distinct) > 1 else 0.0


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


ENOUGH = 10  # ratings of a held-out title, from which their mean says how good it is
LOVED = 3  # titles that describe a taste
TITLES = pl.List(pl.String)


@dataclass(frozen=True)
class Audience:
    """The users of a run, and how far its model may be trusted with what they will think of new titles.

    Args:
        model: Of the run.
        items: Its titles, in index order.
        rated: user and item (indices) and rating of all that is rated.
        validation: item, target and prediction of validation rows that are like those of a new title.
        threshold: Rating of a fan.
        notes: What a reader must know of it.
    """

    model: Hybrid
    items: pl.DataFrame
    rated: pl.DataFrame
    validation: pl.DataFrame
    threshold: float
    notes: Sequence[str]

    @classmethod
    def of(cls, run: Path, threshold: float) -> "Audience":
        """Raises: UserError: The run's model judges no such titles, or it has validated on nothing."""
        model = load(run)
        if not isinstance(model, Hybrid) or model.objective != "mse":
            raise UserError(
                f"{run}: this {type(model).__name__} predicts no rating of a title by its content; use a run of "
                "model=hybrid model.objective=mse split=whole_items"
            )
        rated = histories(run, model).filter(pl.col("rating").is_not_null()).sort("user_id", "item_id").collect()
        encode = {name: model.vocabularies[f"{name}_id"].encode for name in ("user", "item")}
        rated = rated.select("rating", **{name: pl.Series(encode[name](rated[f"{name}_id"])) for name in encode})
        rows = scan(run / "predictions.parquet").filter(split="val").collect()
        rows = rows.with_columns(item=pl.Series(encode["item"](rows["item_id"])))
        rows = rows.select("item", "target", "prediction", n=pl.len().over("item"))
        known = model.known[:, 0].numpy() > 0
        held_out = rows.filter(pl.Series(~known[rows["item"].to_numpy()]), pl.col("n") >= ENOUGH)
        notes = []
        if held_out["item"].n_unique() < min_calibration_size(LEVEL):
            held_out = rows
            notes.append(
                f"No interval: the run held out too few whole titles with {ENOUGH} ratings; train with "
                "split=whole_items. Chances are those of titles that have ratings: too sure of a new one."
            )
        if not len(held_out):
            raise UserError(f"{run}: it was validated on nothing, so nobody knows how wrong it is; set split.val=0.05")
        return cls(model, titles(run, model.n_items), rated, held_out, threshold, notes)

    @cached_property
    def weight_u(self) -> NDArray[np.float64]:
        """Users count as often as they have rated: a score is a mean of ratings, and most are by few."""
        return np.bincount(self.rated["user"].to_numpy(), minlength=self.model.n_users).astype(np.float64)

    def mean(self, value_u: NDArray[np.floating]) -> float:
        return float(np.average(value_u, weights=self.weight_u))

    def chances(self, rating_u: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n_users,): how likely each user is a fan. All held-out titles count alike, whatever their popularity."""
        rows = self.validation
        error, weight = (rows["target"] - rows["prediction"]).to_numpy(), (1 / rows["n"]).to_numpy()
        return chances(rating_u, error, weight, self.threshold - self.half_step)

    @cached_property
    def half_step(self) -> float:
        return half_step(self.rated["rating"].to_numpy())

    @cached_property
    def half_width(self) -> float | None:
        """Of the interval around a title's score: by the same prediction for the held-out titles, and their means."""
        if self.notes:
            return None
        of_title = self.validation.group_by("item").agg(pl.col("target").mean()).sort("item")
        predicted = [
            self.mean(self.model.predict_unrated_title(self.model.content[i]).numpy()) for i in of_title["item"]
        ]
        return half_width(of_title["target"].to_numpy() - np.array(predicted), LEVEL)

    def ends(self, rating_u: NDArray[np.floating]) -> tuple[float, float] | None:
        if self.half_width is None:
            return None
        low, high = prediction_interval(np.array([self.mean(rating_u)]), self.half_width)
        return float(low[0]), float(high[0])

    def loves(self, taste_u: NDArray[np.int64], n: int) -> list[list[str]]:
        """For each of n tastes, titles that it loves more than others do."""
        liked = self.rated.filter(pl.col("rating") >= self.threshold)
        liked = liked.select("item", taste=pl.Series(taste_u[liked["user"].to_numpy()]))
        return [various(self.items["title"].gather(indices)) for indices in loved(liked, n, titles=5 * LOVED)]

    def by_taste(
        self,
        taste_u: NDArray[np.int64],
        loves: Sequence[Sequence[str]],
        rating_u: NDArray[np.floating],
        chance_u: NDArray[np.float64],
    ) -> pl.DataFrame:
        """One row a taste, that with most fans first.

        `audience` and `fans` are its shares of all, `rating` is what it would give the title, and `lift` how much more
        that is than others would give, were all equally generous.
        """
        lift_u = rating_u - self.model.baseline.user[:-1].numpy()
        users = pl.DataFrame(
            {
                "taste": taste_u,
                "weight": self.weight_u,
                "lift": lift_u - self.mean(lift_u),
                "rating": rating_u,
                "chance": chance_u,
            }
        )
        weight, rating, chance = pl.col("weight"), pl.col("rating"), pl.col("chance")
        rows = users.group_by("taste").agg(
            users=pl.len(),
            audience=weight.sum() / self.weight_u.sum(),
            rating=(rating * weight).sum() / weight.sum(),
            lift=(pl.col("lift") * weight).sum() / weight.sum(),
            share=(chance * weight).sum() / weight.sum(),
            fans=(chance * weight).sum() / (chance_u * self.weight_u).sum(),
        )
        told = pl.DataFrame({"taste": range(len(loves)), "loves": list(loves)}, schema_overrides={"loves": TITLES})
        return rows.join(told, on="taste").sort(["fans", "taste"], descending=[True, False]).drop("taste")

    def nearest(self, content: Tensor, n: int) -> pl.DataFrame:
        """The n existing titles that users meet most alike, the better known first; with their mean ratings."""
        likeness = cosine_similarity(
            self.model.match_vectors(content), self.model.match_vectors(self.model.content[:-1])
        )
        of_item = self.rated.group_by("item").agg(n_ratings=pl.len(), rating=pl.col("rating").mean())
        names = [name for name in ("item_id", "title", "type", "genres") if name in self.items.columns]
        table = self.items.select(names).with_columns(likeness=likeness.numpy().round(4), item=pl.int_range(pl.len()))
        table = table.join(of_item.with_columns(pl.col("item").cast(pl.Int64)), on="item", how="left")
        order = ["likeness", "n_ratings", "item"]
        return table.sort(order, descending=[True, True, False], nulls_last=True).head(n).drop("item")


def various(names: Iterable[str]) -> list[str]:
    """The first few that are not sequels of each other, as far as names tell.

    >>> various(["Bleach 2", "Bleach", "Naruto", "Naruto: The Last", "Monster", "Mushishi"])
    ['Bleach 2', 'Naruto', 'Monster']
    """
    chosen: list[str] = []
    for name in names:
        if len(chosen) < LOVED and not any(name.startswith(other) or other.startswith(name) for other in chosen):
            chosen.append(name)
    return chosen
