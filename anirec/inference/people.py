"""People to recommend to, known users of a run or new ones, and the explanation of their recommendations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from anirec.data.ratings.filters import is_planned
from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.inference.new_users.likes import Liked
from anirec.inference.new_users.own_list import OwnList
from anirec.models.base import RatingModel, SupportsFoldIn
from anirec.models.ratings.bias import Baseline

MIN_FALL = 0.1  # standard deviations of the scores; a smaller fall would hardly change the ranking
SECOND_REASON = 0.5  # share of the largest fall from which a second reason is given
MAX_REASONS = 2


def explain(model: SupportsFoldIn, item: Tensor, rating: Tensor, recommended: Tensor) -> list[list[int]]:
    """Return, for each recommended item, the positions of the one or two history entries that explain it; maybe none.

    Each history entry is left out in turn (leave-one-out); the fall of an item's score measures how much the entry
    supports it. Scores are centred first, so that what raises all items alike, such as a generous rater's bias, does
    not count as a reason.

    Args:
        model: Model that scores a history by fold-in.
        item: Item indices of the history, int64 (H,).
        rating: Ratings of the history in points, float32 (H,); NaN if unrated.
        recommended: Item indices to explain, int64 (n,).
    """
    n = len(item)
    if not n:
        return [[] for _ in recommended]
    # Row 0 is the full history; row h + 1 leaves out entry h.
    row = torch.arange(n + 1).repeat_interleave(n)
    entry = torch.arange(n).repeat(n + 1)
    kept = entry != row - 1
    row, entry = row[kept], entry[kept]
    scores = model.fold_in(RatingBatch(row, item[entry], rating[entry]), n + 1)
    centred = scores - scores.mean(dim=1, keepdim=True)
    falls_hr = (centred[0] - centred[1:])[:, recommended]
    min_fall = MIN_FALL * float(scores[0].std())
    return [largest_falls(falls_h, min_fall) for falls_h in falls_hr.T]


def largest_falls(falls_h: Tensor, min_fall: float) -> list[int]:
    """Return the positions of at most `MAX_REASONS` falls above `min_fall`, largest first.

    >>> largest_falls(torch.tensor([0.1, 0.9, 0.6, 0.7]), 0.05), largest_falls(torch.tensor([0.0, -0.2]), 0.05)
    ([1, 3], [])
    """
    fall, position = falls_h.sort(descending=True)
    is_reason = (fall > min_fall) & (fall >= SECOND_REASON * fall[:1])
    return position[is_reason][:MAX_REASONS].tolist()


MAX_HISTORY = 50  # entries of a long history, those rated highest, that may be a reason


class Person(NamedTuple):
    """A person to recommend to.

    Attributes:
        item: Items of the history, int64 (H,).
        rating: Their ratings in points, float32 (H,); NaN if unrated. See `anirec.data.scale`.
        score_i: The model's scores of all items, (n_items,).
        planned: Items on the plan-to-watch list, int64 (P,).
        seen: Items that are not to be recommended: those of the history, and dropped ones, int64 (S,).
    """

    item: Tensor
    rating: Tensor
    score_i: Tensor
    planned: Tensor
    seen: Tensor

    def personal_scores(self, model: RatingModel, share: float) -> Tensor:
        """Return the scores (n_items,) less a share, 0 to 1, of the scores of an unknown user."""
        if not share:
            return self.score_i
        (unknown_user_i,) = model.score_items(torch.tensor([-1]))
        return self.score_i - share * unknown_user_i

    def explain(self, model: RatingModel, recommended: Tensor) -> list[list[int]]:
        """Return, for each recommended item (n,), the positions of the history entries that explain it.

        A disliked title is no reason. There are no reasons if the model cannot score another history (no fold-in).
        """
        if not isinstance(model, SupportsFoldIn):
            return [[] for _ in recommended]
        order = self.rating.nan_to_num(nan=0.0).argsort(descending=True, stable=True)
        order = order[~is_disliked(model, self.item, self.rating)[order]][:MAX_HISTORY]
        found = explain(model, self.item[order], self.rating[order], recommended)
        return [order[positions].tolist() for positions in found]


def is_disliked(model: RatingModel, item: Tensor, rating: Tensor) -> Tensor:
    """Return which history entries are dislikes, bool (H,); see `Baseline.preferences`."""
    baseline = next((part for part in model.modules() if isinstance(part, Baseline)), None)
    if baseline is None:  # such as of popularity, which is the same for everybody
        return torch.zeros(len(item), dtype=torch.bool)
    return baseline.preferences(RatingBatch(torch.zeros_like(item), item, rating), 1) < 0


def fold_in_likes(model: RatingModel, likes: Sequence[Liked]) -> Person:
    """Return a person who is not in the run's data, scored by fold-in of the titles that they like.

    Raises:
        UserError: The model has no fold-in.
    """
    return fold_in(model, {liked.item: liked.rating for liked in likes})


def fold_in_list(model: RatingModel, own: OwnList) -> Person:
    """Return a person who is not in the run's data, scored by fold-in of their own list.

    A dropped title is never recommended, and never counts as a like: it is part of the history only if its rating is a
    dislike.

    Raises:
        UserError: The model has no fold-in, or no title on the list was seen.
    """
    ratings = {**own.seen, **own.dropped}
    item, rating = to_tensors(model, ratings)
    is_dropped = torch.tensor([index in own.dropped for index in ratings], dtype=torch.bool)
    history = item[~is_dropped | is_disliked(model, item, rating)]
    if not len(history):
        raise UserError(f"--list: {own.summary()}. Nothing to recommend from: no title of this run was seen or rated.")
    person = fold_in(model, {index: ratings[index] for index in history.tolist()})
    return person._replace(planned=torch.tensor(own.planned, dtype=torch.int64), seen=item)


def fold_in(model: RatingModel, ratings: Mapping[int, float]) -> Person:
    """Return a new person with a history of item indices and ratings in the unit of the data (NaN if unrated).

    Raises:
        UserError: The model has no fold-in.
    """
    if not isinstance(model, SupportsFoldIn):
        raise UserError(
            f"{type(model).__name__} ranks titles only for the users it was trained on: set --user, or use a run of "
            "another model, such as ease, item_knn or svdpp"
        )
    item, rating = to_tensors(model, ratings)
    (score_i,) = model.fold_in(RatingBatch(torch.zeros_like(item), item, rating), 1)
    return Person(item, rating, score_i, item[:0], item)


def to_tensors(model: RatingModel, ratings: Mapping[int, float]) -> tuple[Tensor, Tensor]:
    """Return item indices, int64 (H,), and ratings in points, float32 (H,)."""
    rating = torch.tensor([*ratings.values()], dtype=torch.float32)
    return torch.tensor([*ratings], dtype=torch.int64), model.rating_scale.to_points(rating)


def known_user(model: RatingModel, histories: pl.LazyFrame, user: str) -> Person:
    """Return a user of the run's data.

    Args:
        model: Model of the run.
        histories: user_id, item_id, rating and, if available, status of every list entry, those of the validation and
            test sets included.
        user: Id of the user, as typed.

    Raises:
        UserError: The run has no such user.
    """
    users, items = (model.vocabularies[name] for name in ("user_id", "item_id"))
    user_id = pl.Series([user]).cast(users.ids.dtype, strict=False)
    index = torch.tensor(users.encode(user_id), dtype=torch.int64)
    if index[0] < 0:
        raise UserError(
            f"--user {user}: not among the {len(users):,} users of this run, such as "
            f"{', '.join(map(str, users.ids.head(3)))}; for a new user, set --likes"
        )
    own = histories.with_columns(planned=is_planned(histories)).filter(pl.col("user_id") == user_id[0])
    rows = own.sort("item_id").collect()
    item = torch.tensor(items.encode(rows["item_id"]), dtype=torch.int64)
    rating = model.rating_scale.to_points(torch.tensor(rows["rating"].fill_null(float("nan")).to_numpy()))
    planned = torch.tensor(rows["planned"].to_numpy())
    (score_i,) = model.score_items(index)
    return Person(item[~planned], rating[~planned], score_i, item[planned], item[~planned])
