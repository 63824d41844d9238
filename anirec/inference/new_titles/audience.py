"""The users of a run as the audience of new titles: their ratings, how likely they are fans, and nearest titles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity

from anirec.errors import UserError
from anirec.inference.histories import read_histories
from anirec.inference.lists import may_be_adult
from anirec.inference.new_titles.reception import LEVEL
from anirec.inference.predict import load
from anirec.inference.run_tables import check_number_of_titles, read_titles, scan_parquet
from anirec.metrics.conformal import half_width, min_calibration_size, prediction_interval
from anirec.models.ratings.hybrid import Hybrid

FloatArray = NDArray[np.floating]


def probability_above(
    prediction: FloatArray, errors: FloatArray, weights: FloatArray, threshold: float
) -> NDArray[np.float64]:
    """Return the probability, 0 to 1, that each true rating reaches the threshold, shape (n,).

    It is the weighted share of held-out errors that would lift the prediction to the threshold.

    Args:
        prediction: Predicted ratings, (n,).
        errors: rating - prediction of rows that the model was not trained on, (m,); m >= 1.
        weights: Weight of each error, (m,); > 0.
        threshold: Rating to reach; subtract `half_rating_step` where ratings are discrete.

    >>> probability_above(np.array([6.0, 7.0, 9.0]), np.array([-1.0, 0.0, 1.0, 2.0]), np.ones(4), 8.0).tolist()
    [0.25, 0.5, 1.0]
    """
    order = np.argsort(errors)
    below = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
    n_below = np.searchsorted(errors[order].astype(np.float64), threshold - prediction.astype(np.float64))
    return 1 - below[n_below] / below[-1]


def half_rating_step(ratings: FloatArray) -> float:
    """Return half of the smallest step between two ratings: with whole ratings 0.5, since 7.5 rounds to an 8.

    >>> steps = [half_rating_step(np.array(ratings)) for ratings in ([7.0, 10.0, 8.0], [7.0, 7.5, 9.0], [7.0, 7.0])]
    >>> tuple(steps)
    (0.5, 0.25, 0.0)
    """
    deduplicate = np.unique(ratings)
    return float(np.diff(deduplicate).min()) / 2 if len(deduplicate) > 1 else 0.0


MIN_RATINGS = 10  # of a held-out title, so that their mean estimates its score


@dataclass(frozen=True)
class Audience:
    """The users of a run, its model, and the errors of that model on held-out titles.

    Args:
        model: The run's model.
        items: The run's titles, in index order.
        rated: user and item (indices) and rating, one row per rating.
        validation: item, target and prediction of the validation rows that estimate the error on a new title.
        threshold: Rating from which a user counts as a fan.
        notes: Caveats, as sentences.
    """

    model: Hybrid
    items: pl.DataFrame
    rated: pl.DataFrame
    validation: pl.DataFrame
    threshold: float
    notes: Sequence[str]

    @classmethod
    def from_run(cls, run: Path, threshold: float) -> "Audience":
        """Load the model, titles, ratings and validation errors of a run.

        Raises:
            UserError: The run has no validation rows.
        """
        model: Hybrid = load(run)  # type: ignore[assignment]  # see `check_run`
        items = read_titles(run)
        check_number_of_titles(run, items, model.n_items)
        rated = read_histories(run, model).filter(pl.col("rating").is_not_null()).sort("user_id", "item_id").collect()
        encode = {name: model.vocabularies[f"{name}_id"].encode for name in ("user", "item")}
        rated = rated.select("rating", **{name: pl.Series(encode[name](rated[f"{name}_id"])) for name in encode})
        rows = scan_parquet(run / "predictions.parquet").filter(split="val").collect()
        rows = rows.with_columns(item=pl.Series(encode["item"](rows["item_id"])))
        rows = rows.select("item", "target", "prediction", n=pl.len().over("item"))
        known = model.known[:, 0].numpy() > 0
        held_out = rows.filter(pl.Series(~known[rows["item"].to_numpy()]), pl.col("n") >= MIN_RATINGS)
        notes = []
        if held_out["item"].n_unique() < min_calibration_size(LEVEL):
            held_out = rows
            notes.append(
                f"No interval: too few titles with at least {MIN_RATINGS} ratings were held out whole; train with "
                "split=whole_items. The shares are estimated from titles that have ratings, and so are overconfident."
            )
        if not len(held_out):
            raise UserError(
                f"{run}: no validation rows, so the prediction error is unknown; train again with split.val=0.05"
            )
        return cls(model, items, rated, held_out, threshold, notes)

    @cached_property
    def weight_u(self) -> NDArray[np.float64]:
        """Weight of each user, (n_users,): their number of ratings, as in a title's score, the mean of its ratings."""
        return np.bincount(self.rated["user"].to_numpy(), minlength=self.model.n_users).astype(np.float64)

    def predict_ratings(self, content: Tensor) -> FloatArray:
        """Return the rating of a title with this content by each user, (n_users,), in the unit of the data."""
        rating_u: FloatArray = self.model.rating_scale.from_points(self.model.predict_unrated_title(content)).numpy()
        return rating_u

    def weighted_mean(self, value_u: FloatArray) -> float:
        return float(np.average(value_u, weights=self.weight_u))

    def fan_probability(self, rating_u: FloatArray) -> NDArray[np.float64]:
        """Return the probability that each user is a fan, (n_users,), given their predicted ratings, (n_users,).

        Every held-out title has the same weight, whatever its number of ratings.
        """
        rows = self.validation
        error, weight = (rows["target"] - rows["prediction"]).to_numpy(), (1 / rows["n"]).to_numpy()
        return probability_above(rating_u, error, weight, self.threshold - self.half_step)

    @cached_property
    def half_step(self) -> float:
        return half_rating_step(self.rated["rating"].to_numpy())

    @cached_property
    def half_width(self) -> float | None:
        """Half-width of the interval around a predicted score, in points; None where too few titles were held out.

        It is calibrated on the held-out titles: their mean rating - their predicted score.
        """
        if self.notes:
            return None
        of_title = self.validation.group_by("item").agg(pl.col("target").mean()).sort("item")
        predicted = [self.weighted_mean(self.predict_ratings(self.model.content[i])) for i in of_title["item"]]
        return half_width(of_title["target"].to_numpy() - np.array(predicted), LEVEL)

    def score_interval(self, rating_u: FloatArray) -> tuple[float, float] | None:
        if self.half_width is None:
            return None
        mean, scale = np.array([self.weighted_mean(rating_u)]), self.model.rating_scale
        low, high = prediction_interval(mean, self.half_width, scale.low, scale.high)
        return float(low[0]), float(high[0])

    def nearest_titles(self, content: Tensor, n: int, *, adult: bool) -> pl.DataFrame:
        """Return the n existing titles with the most similar content vectors, with their rating counts and means.

        Adult titles are left out unless `adult`.

        `likeness` is the cosine similarity, -1 to 1; ties are broken by the number of ratings.
        """
        likeness = cosine_similarity(
            self.model.match_vectors(content), self.model.match_vectors(self.model.content[:-1])
        )
        of_item = self.rated.group_by("item").agg(n_ratings=pl.len(), rating=pl.col("rating").mean())
        names = [name for name in ("item_id", "title", "type", "genres") if name in self.items.columns]
        table = self.items.select(names).with_columns(likeness=likeness.numpy().round(4), item=pl.int_range(pl.len()))
        if not adult:
            table = table.filter(~self.items.select(may_be_adult(self.items)).to_series())
        table = table.join(of_item.with_columns(pl.col("item").cast(pl.Int64)), on="item", how="left")
        order = ["likeness", "n_ratings", "item"]
        return table.sort(order, descending=[True, True, False], nulls_last=True).head(n).drop("item")
