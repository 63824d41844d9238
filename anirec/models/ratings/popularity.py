"""Popularity: rank items by their number of interactions; a baseline for all rating models."""

from typing import ClassVar

import torch
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel
from anirec.models.one_pass import OnePass
from anirec.settings import NonNegative


class Popularity(OnePass, RatingModel):
    """Rank items by their number of training interactions and predict their damped mean rating.

    The prediction is (Σ_u r_ui + damping · mean) / (n_i + damping) for n_i ratings of item i.

    Args:
        damping: Number of pseudo-ratings at the global mean added to every item; >= 0.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    count_i: Tensor
    rated_i: Tensor
    total_i: Tensor
    mean_i: Tensor

    def __init__(self, *, damping: NonNegative) -> None:
        super().__init__()
        self.damping = damping

    def allocate(self) -> None:
        for name in ("count_i", "rated_i", "total_i"):
            self.add_statistic(name, self.n_items)
        self.register_buffer("mean_i", torch.zeros(self.n_items + 1))

    def accumulate(self, batch: RatingBatch) -> None:
        rated = ~batch.rating.isnan()
        ones = torch.ones_like(batch.rating, dtype=torch.float64)
        self.count_i.index_add_(0, batch.item, ones)
        self.rated_i.index_add_(0, batch.item[rated], ones[rated])
        self.total_i.index_add_(0, batch.item[rated], batch.rating[rated].double())

    def solve(self) -> None:
        mean = self.total_i.sum() / self.rated_i.sum().clamp(min=1)
        # Items without ratings and the unknown item (index -1) get the mean, also with damping=0.
        damped = (self.total_i + self.damping * mean) / (self.rated_i + self.damping)
        self.mean_i = torch.cat([damped, mean[None]]).nan_to_num(nan=float(mean)).float()

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.mean_i[batch.item]

    def score_items(self, users: Tensor) -> Tensor:
        return self.count_i.float().expand(len(users), -1)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        return self.count_i.float().expand(n, -1)
