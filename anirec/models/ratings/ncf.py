"""NCF: neural collaborative filtering on embeddings of users and items."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.network import RatingNetwork
from anirec.models.ratings.towers import Head
from anirec.settings import NonNegative, PositiveInt, Share


class NCF(RatingNetwork):
    """Match user and item embeddings by a weighted element-wise product and an MLP.

    Embeddings of users and items without training rows are zero; the offsets remain.

    Args:
        n_factors: Length of the vectors in the element-wise product; with an MLP, its input has the same length; >= 1.
        hidden: Widths of the MLP's layers; []: element-wise product only, which is matrix factorisation.
        dropout: Dropout in the MLP; 0 <= dropout < 1.
        init_std: Standard deviation of the initial embeddings; >= 0.
        **settings: Arguments of `RatingNetwork`.

    References:
        He et al., Neural Collaborative Filtering, WWW 2017. The Anime Alchemy notebook announced it but did not finish
        it.
    """

    constraints = "anirec.models.constraints:check_hidden"

    def __init__(
        self,
        *,
        n_factors: PositiveInt,
        hidden: list[PositiveInt],
        dropout: Share,
        init_std: NonNegative,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.head = Head(n_factors=n_factors, hidden=hidden, dropout=dropout)
        self.init_std = init_std

    def allocate(self) -> None:
        super().allocate()
        self.user_factors, self.item_factors = (
            initial_factors(n, self.head.width, self.init_std) for n in (self.n_users, self.n_items)
        )
        self.item_offset = nn.Parameter(torch.zeros(self.n_items + 1, 1))

    def on_train_start(self) -> None:
        super().on_train_start()
        rows = self.training_rows(self.data)
        zero_unseen(self.user_factors, rows.user)
        zero_unseen(self.item_factors, rows.item)

    def project_all(self) -> tuple[Tensor, Tensor]:
        return self.head.project_items(self.item_factors, self.item_offset), self.head.project_users(self.user_factors)

    def project_batch(self, batch: RatingBatch, items: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        factors, offsets = self.embed_rows(self.item_factors, items), self.embed_rows(self.item_offset, items)
        users, user_of_row = self.distinct(batch.user)
        projected = self.head.project_users(self.embed_rows(self.user_factors, users))
        return self.head.project_items(factors, offsets), embedding(user_of_row, projected)


def initial_factors(n: int, width: int, std: float) -> nn.Parameter:
    """Return normally distributed factors, (n + 1, width). The last row, for the unknown id, is 0 and stays 0."""
    start = std * torch.randn(n + 1, width)
    start[-1] = 0
    return nn.Parameter(start)


@torch.no_grad()
def zero_unseen(factors: nn.Parameter, seen: NDArray[np.int32]) -> None:
    """Set the rows of ids without training rows to 0, since their initial values carry no information."""
    factors[torch.from_numpy(np.bincount(seen, minlength=len(factors)) == 0)] = 0
