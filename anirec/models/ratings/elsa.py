"""ELSA: a linear item-item model of low rank for ranking, learned by gradients."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.autoencoder import Autoencoder
from anirec.settings import PositiveInt


class ELSA(Autoencoder):
    """Rank items by X (A A' - I), where each row of A, the vector of an item, has length 1.

    The diagonal of A A' - I is zero, as in EASE: no item is predicted from itself. The loss is the mean squared
    distance of the reconstruction from the history, both scaled to length 1. Memory grows with n_items x n_factors,
    where EASE needs n_items².

    Args:
        n_factors: Length of the vectors; >= 1.
        **settings: Arguments of `Autoencoder`.

    References:
        Vančura et al., Scalable Linear Shallow Autoencoder for Collaborative Filtering, RecSys 2022.
    """

    def __init__(self, *, n_factors: PositiveInt, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_factors = n_factors

    def allocate(self) -> None:
        super().allocate()
        self.item_factors = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.n_items, self.n_factors)))

    def reconstruct(self, rows: RatingBatch, bounds: Tensor, preference: Tensor) -> Tensor:
        factors_if = normalize(self.item_factors, dim=1)
        taste_bf = embedding_bag(rows.item, factors_if, bounds[:-1], mode="sum", per_sample_weights=preference)
        return (taste_bf @ factors_if.T).index_put((rows.user, rows.item), -preference, accumulate=True)

    def loss(self, rows: RatingBatch, bounds: Tensor, preference: Tensor, preference_bi: Tensor) -> Tensor:
        scores_bi = self.reconstruct(rows, bounds, preference)
        return (normalize(scores_bi, dim=1) - normalize(preference_bi, dim=1)).square().sum(1).mean()
