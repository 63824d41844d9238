"""Bias: how generous is the user, how well liked is the item? Half of what any rating model learns."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.models.one_pass import History, MemoryBased
from anirec.settings import NonNegative

SWEEPS = 10  # of alternating least squares; the fourth digit of an offset has settled by then


class Bias(MemoryBased, RatingModel):
    """Predict mean + user offset + item offset, and rank items by their offset (Koren 2010, section 2.1).

    Args:
        damping_user: Imaginary ratings without an offset added to every user; >= 0.
        damping_item: Likewise for items.
    """

    def __init__(self, *, damping_user: NonNegative, damping_item: NonNegative) -> None:
        super().__init__()
        self.damping_user = damping_user
        self.damping_item = damping_item

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.history = History(self.n_users)  # the offsets say all; a checkpoint need not carry the ratings

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        return self.baseline.of_all_items(users)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        of_person = self.baseline.of_people(deduplicate(batch), n, self.damping_user)
        return self.baseline.mean + of_person[:, None] + self.baseline.item[:-1]


class Baseline(nn.Module):
    """The offsets, and the range of the ratings that they were learned from.

    `mean`, `lowest` and `highest` are scalars, `user` (n_users + 1,), `item` (n_items + 1,) with 0 for the unknown.
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
        """Damped alternating least squares, items first; the method and the numbers of Surprise's `BaselineOnly`.

        Raises:
            UserError: If there is not a single rating.
        """
        rated = ~history.rating.isnan()
        user, item, rating = history.user()[rated], history.item[rated].long(), history.rating[rated].double()
        self.centre(rating.cpu().numpy())
        rating_from_mean = rating - rating.mean()
        of_user = torch.zeros_like(self.user, dtype=torch.float64)
        weight_user = count(user, len(self.user)) + damping_user
        weight_item = count(item, len(self.item)) + damping_item
        for _ in range(SWEEPS):
            of_item = total(item, rating_from_mean - of_user[user], weight_item) / weight_item
            of_user = total(user, rating_from_mean - of_item[item], weight_user) / weight_user
        self.user, self.item = of_user.float(), of_item.float()

    def centre(self, ratings: NDArray[Any]) -> None:
        """Learn the mean and the range alone."""
        if not len(ratings):
            raise UserError("No training row has a rating: nothing tells what users like.")
        for name, value in (
            ("mean", ratings.mean(dtype=np.float64)),
            ("lowest", ratings.min()),
            ("highest", ratings.max()),
        ):
            self.get_buffer(name).fill_(float(value))

    def of_people(self, batch: RatingBatch, n: int, damping_user: NonNegative) -> Tensor:
        """(n,) float32: offsets of people 0 to n - 1, who were not in training, from their ratings."""
        rated = ~batch.rating.isnan()
        user, left = batch.user[rated], (batch.rating - self.mean - self.item[batch.item])[rated].double()
        weight = count(user, n) + damping_user
        return (total(user, left, weight) / weight).float()

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """The predicted ratings (B,), within the range of the training ratings."""
        return self.within_range(self.mean + self.user[user] + self.item[item])

    def of_all_items(self, users: Tensor) -> Tensor:
        """(B, n_items), free of the range so that no two items tie."""
        return self.mean + self.user[users, None] + self.item[:-1]

    def within_range(self, ratings: Tensor) -> Tensor:
        return ratings.clamp(self.lowest, self.highest)


def count(index: Tensor, n: int) -> Tensor:
    """(n,) float64: how often each of 0..n occurs; tiny instead of 0, to divide by."""
    return torch.bincount(index, minlength=n).double().clamp(min=torch.finfo(torch.float64).tiny)


def total(index: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """The sum of the values of each index, shaped like `like`."""
    return torch.zeros_like(like).index_add_(0, index, values)
