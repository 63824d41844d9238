"""Whom to recommend to: a user of the run's data, or somebody who is in no dump."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from anirec.data.ratings.filters import is_planned
from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.inference.title_search import Liked
from anirec.models.base import RatingModel, SupportsFoldIn

NEGLIGIBLE = 0.1  # of the spread of the scores: a fall that would hardly change a place
BESIDE = 0.5  # share of the greatest fall from which a second reason is named
MOST = 2


def reasons(model: SupportsFoldIn, item: Tensor, rating: Tensor, recommended: Tensor) -> list[list[int]]:
    """For each recommended item (n,) the one or two places of the history that matter most; none where nothing does.

    What lifts or lowers all items alike, such as a person's generosity, is no reason for any of them: scores are
    compared with their mean.

    Args:
        item: What the person has seen, int64 (H,).
        rating: Its ratings, float32 (H,); NaN where there is none.
        recommended: Item indices.
    """
    n = len(item)
    # Person 0 has the whole history, person h + 1 all of it but place h.
    person = torch.arange(n + 1).repeat_interleave(n)
    place = torch.arange(n).repeat(n + 1)
    kept = place != person - 1
    person, place = person[kept], place[kept]
    scores = model.fold_in(RatingBatch(person, item[place], rating[place]), n + 1)
    above_mean = scores - scores.mean(dim=1, keepdim=True)
    falls_hr = (above_mean[0] - above_mean[1:])[:, recommended]
    least = NEGLIGIBLE * float(scores[0].std())
    return [most_important(falls_h, least) for falls_h in falls_hr.T]


def most_important(falls_h: Tensor, least: float) -> list[int]:
    """
    >>> most_important(torch.tensor([0.1, 0.9, 0.6, 0.7]), 0.05), most_important(torch.tensor([0.0, -0.2]), 0.05)
    ([1, 3], [])
    """
    fall, place = falls_h.sort(descending=True)
    matters = (fall > least) & (fall >= BESIDE * fall[:1])
    return place[matters][:MOST].tolist()


EXPLAINED_BY = 50  # titles of a long history that may be a reason: those rated highest


class Person(NamedTuple):
    """What somebody has seen: items int64 (H,), ratings float32 (H,) or NaN; the scores of all items (n_items,); and
    the items that they plan to watch, int64 (P,)."""

    item: Tensor
    rating: Tensor
    score_i: Tensor
    planned: Tensor

    def beyond(self, model: RatingModel, share: float) -> "Person":
        """With a share, 0 to 1, of what the model would tell somebody unknown taken off every score."""
        if not share:
            return self
        (of_anybody_i,) = model.score_items(torch.tensor([-1]))
        return self._replace(score_i=self.score_i - share * of_anybody_i)

    def reasons(self, model: RatingModel, recommended: Tensor) -> list[list[int]]:
        """For each recommended item (n,) the places in the history that speak for it.

        Nothing does, as far as can be told, with a model that cannot rank for another history.
        """
        if not isinstance(model, SupportsFoldIn):
            return [[] for _ in recommended]
        order = self.rating.nan_to_num(nan=0.0).argsort(descending=True, stable=True)[:EXPLAINED_BY]
        found = reasons(model, self.item[order], self.rating[order], recommended)
        return [order[places].tolist() for places in found]


def newcomer(model: RatingModel, likes: Sequence[Liked]) -> Person:
    """Somebody who is in no dump, ranked for by what they like.

    Raises:
        UserError: The model cannot do that.
    """
    if not isinstance(model, SupportsFoldIn):
        raise UserError(
            f"{type(model).__name__} ranks for users of its data only: give one by --user, or use a run of another "
            "model, such as ease, item_knn or svdpp"
        )
    item = torch.tensor([liked.item for liked in likes])
    rating = torch.tensor([liked.rating for liked in likes])
    (score_i,) = model.fold_in(RatingBatch(torch.zeros_like(item), item, rating), 1)
    return Person(item, rating, score_i, item[:0])


def user_of(model: RatingModel, histories: pl.LazyFrame, user: str) -> Person:
    """A user of the run's data.

    Args:
        model: With the vocabularies of its data.
        histories: user_id, item_id, rating and perhaps status of every list entry, also those of validation and test.
        user: Their id, as typed.

    Raises:
        UserError: There is no such user.
    """
    users, items = (model.vocabularies[name] for name in ("user_id", "item_id"))
    asked = pl.Series([user]).cast(users.ids.dtype, strict=False)
    index = torch.tensor(users.encode(asked), dtype=torch.int64)
    if index[0] < 0:
        raise UserError(f"--user {user}: not among the {len(users):,} users of this run; for anybody else, use --likes")
    own = histories.with_columns(planned=is_planned(histories)).filter(pl.col("user_id") == asked[0])
    rows = own.sort("item_id").collect()
    item = torch.tensor(items.encode(rows["item_id"]), dtype=torch.int64)
    rating = torch.tensor(rows["rating"].fill_null(float("nan")).to_numpy())
    planned = torch.tensor(rows["planned"].to_numpy())
    (score_i,) = model.score_items(index)
    return Person(item[~planned], rating[~planned], score_i, item[planned])
