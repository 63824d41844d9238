"""Bias model: mean rating plus user and item offsets; also the baseline inside the other rating models."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.models.base import RatingModel
from anirec.models.one_pass import History, MemoryBased
from anirec.settings import NonNegative

SWEEPS = 10  # of alternating least squares; offsets have then converged to about four digits
# Of the preferences in a history:
DISLIKED = -0.5  # weight of a dislike; that of a like is about 1
MARGIN = 1 / 3  # share of the range of ratings by which a dislike is lower than the expected rating; more is a dislike
DAMPING = 20.0  # pseudo-ratings at the mean in the user offset, so that a short list of dislikes does not make it low


class Bias(MemoryBased, RatingModel):
    """Predict ratings as mean + b_u + b_i, and rank items by b_i.

    Args:
        damping_user: Number of pseudo-ratings with offset 0 added to every user; >= 0. Larger values shrink b_u more.
        damping_item: Number of pseudo-ratings with offset 0 added to every item; >= 0.

    References:
        Koren, Factor in the Neighbors: Scalable and Accurate Collaborative Filtering, ACM TKDD 4, 2010, section 2.1.
    """

    uses_seed: ClassVar[bool] = False

    def __init__(self, *, damping_user: NonNegative, damping_item: NonNegative) -> None:
        super().__init__()
        self.damping_user = damping_user
        self.damping_item = damping_item

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.history = History(self.n_users)  # no longer needed, so that the checkpoint stays small

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        return self.baseline.score_all_items(users)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        offset_n = self.baseline.new_user_offsets(deduplicate(batch), n, self.damping_user)
        return self.baseline.mean + offset_n[:, None] + self.baseline.item[:-1]


class Baseline(nn.Module):
    """User and item offsets, and the range of the training ratings.

    Attributes:
        mean: Mean training rating, scalar.
        lowest: Lowest training rating, scalar.
        highest: Highest training rating, scalar.
        user: User offsets, (n_users + 1,); the last one, for unknown users, is 0.
        item: Item offsets, (n_items + 1,); the last one, for unknown items, is 0.
    """

    mean: Tensor
    lowest: Tensor
    highest: Tensor
    user: Tensor
    item: Tensor

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        for name in ("mean", "lowest", "highest"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("user", torch.zeros(n_users + 1))
        self.register_buffer("item", torch.zeros(n_items + 1))

    def fit(self, history: History, damping_user: NonNegative, damping_item: NonNegative) -> None:
        """Fit the offsets by damped alternating least squares, items first, as Surprise's `BaselineOnly` does."""
        from anirec.models.ratings.kernels.offsets import fit_offsets  # imports numba, which predicting does not need

        start, item, rating = (column.cpu().numpy() for column in (history.indptr, history.item, history.rating))
        mean = self.centre(rating)
        damping = (float(damping_user), float(damping_item))
        offsets = fit_offsets(start, item, rating, mean=mean, n_items=len(self.item), damping=damping, sweeps=SWEEPS)
        self.user, self.item = (torch.from_numpy(offset).float().to(history.item.device) for offset in offsets)

    def centre(self, ratings: NDArray[Any]) -> float:
        """Set mean and range of the ratings, without offsets; return the mean in full precision, 0 if none is rated.

        Args:
            ratings: Ratings; NaN where unrated.
        """
        is_rated = ~np.isnan(ratings)
        if not is_rated.any():  # implicit feedback
            return 0.0
        mean = float(np.add.reduce(ratings, where=is_rated, dtype=np.float64) / np.count_nonzero(is_rated))
        for name, value in (("mean", mean), ("lowest", np.fmin.reduce(ratings)), ("highest", np.fmax.reduce(ratings))):
            self.get_buffer(name).fill_(float(value))
        return mean

    def new_user_offsets(self, batch: RatingBatch, n: int, damping_user: NonNegative) -> Tensor:
        """Return the offsets of new users, numbered 0 to n - 1, from their ratings: float32 (n,)."""
        rated = ~batch.rating.isnan()
        user, residual = batch.user[rated], (batch.rating - self.mean - self.item[batch.item])[rated].double()
        weight = count_by_index(user, n) + damping_user
        return (sum_by_index(user, residual, weight) / weight).float()

    def preferences(self, batch: RatingBatch, n: int) -> Tensor:
        """Return how much each entry of a history counts in a ranking, float32 (B,): at most 1.5; below 0 for dislikes.

        An entry counts 1 + (rating - expected) / range, and 1 if it is unrated, or if the training data have no
        ratings. The expected rating is that of the bias model for this user and item, and at least the middle of the
        range. A rating that is lower by more than a third of the range is a dislike. It counts against similar items,
        but less than a like counts for them, as in relevance feedback (Rocchio 1971; Manning, Raghavan & Schütze,
        Introduction to Information Retrieval, 2008, section 9.1).

        Args:
            batch: Histories of users 0 to n - 1.
            n: Number of users.
        """
        middle, span = (self.lowest + self.highest) / 2, self.highest - self.lowest
        expected = self.mean + self.new_user_offsets(batch, n, DAMPING)[batch.user] + self.item[batch.item]
        excess = (batch.rating - torch.maximum(expected, middle)) / torch.where(span > 0, span, 1)
        preference = torch.where(excess < -MARGIN, DISLIKED, 1 + excess).nan_to_num(nan=1.0)
        return torch.where(self.has_ratings, preference, 1.0)

    @property
    def has_ratings(self) -> Tensor:
        """Whether the model was fitted to ratings, which are points from 1 on, not to implicit feedback; bool ()."""
        return self.highest > 0

    def preferences_of(self, history: History) -> Tensor:
        """Return the preference of each row of a history, float32 (n,)."""
        preference = torch.empty_like(history.rating)
        for first, last, rows in history.blocks():
            preference[first:last] = self.preferences(rows, int(rows.user[-1]) + 1 if len(rows.user) else 0)
        return preference

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return predicted ratings (B,), clipped to the range of the training ratings."""
        return self.within_range(self.mean + self.user[user] + self.item[item])

    def score_all_items(self, users: Tensor) -> Tensor:
        """Return unclipped predictions for all items, (B, n_items); clipping would create ties."""
        return self.mean + self.user[users, None] + self.item[:-1]

    def within_range(self, ratings: Tensor) -> Tensor:
        return ratings.clamp(self.lowest, self.highest)


def count_by_index(index: Tensor, n: int) -> Tensor:
    """Return how often each index 0 to n - 1 occurs, float64 (n,); a tiny number instead of 0, as a divisor."""
    return torch.bincount(index, minlength=n).double().clamp(min=torch.finfo(torch.float64).tiny)


def sum_by_index(index: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Return the sum of the values of each index, in the shape of `like`."""
    return torch.zeros_like(like).index_add_(0, index, values)
