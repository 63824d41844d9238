"""Scoring head of two-tower networks: element-wise product plus MLP, for given pairs and for all pairs."""

import torch
from torch import Tensor, nn

from anirec.models.titles.network import layers


class Head(nn.Module):
    """Score a user and an item: weighted element-wise product of their factors + MLP([user, item]) + item offset.

    The first n_factors numbers of a vector enter the product, the others the MLP. The MLP's first layer is linear, so
    its user half and its item half are computed once per user and item, whatever the number of pairs. The results are
    the projected users and items, of width n_factors + hidden[0], plus 1 for the item offset.

    Args:
        n_factors: Number of factors in the product; >= 0.
        hidden: Widths of the MLP's layers; []: product only, which is matrix factorisation.
        dropout: Dropout in the MLP; 0 <= dropout < 1.
        inputs: Number of inputs of the MLP per user and per item; None: n_factors.

    References:
        He et al., Neural Collaborative Filtering, WWW 2017.
    """

    def __init__(self, *, n_factors: int, hidden: list[int], dropout: float, inputs: int | None = None) -> None:
        super().__init__()
        self.n_factors, self.inputs = n_factors, n_factors if inputs is None else inputs
        self.weight = nn.Parameter(torch.ones(n_factors))
        first = hidden[0] if hidden else 0
        self.of_user = nn.Linear(self.inputs, first) if hidden else None
        self.of_item = nn.Linear(self.inputs, first, bias=False) if hidden else None
        rest, width = layers(first, {"relu": hidden[1:]}, dropout=dropout)
        self.rest = nn.Sequential(nn.ReLU(inplace=True), rest, nn.Linear(width, 1)) if hidden else None

    @property
    def width(self) -> int:
        """Width of the input vectors of users and items."""
        return self.n_factors + (self.inputs if self.of_user else 0)

    @property
    def projected_width(self) -> int:
        """Width of projected users; projected items have one column more."""
        return self.n_factors + (self.of_user.out_features if self.of_user else 0)

    def project_users(self, vector: Tensor) -> Tensor:
        """Return projected users (…, projected_width) of vectors (…, width)."""
        product, rest = vector.split([self.n_factors, vector.shape[-1] - self.n_factors], dim=-1)
        return torch.cat([product * self.weight, *([self.of_user(rest)] if self.of_user else [])], dim=-1)

    def project_items(self, vector: Tensor, offset: Tensor) -> Tensor:
        """Return projected items (…, projected_width + 1) of vectors (…, width) and offsets (…, 1)."""
        product, rest = vector.split([self.n_factors, vector.shape[-1] - self.n_factors], dim=-1)
        return torch.cat([product, *([self.of_item(rest)] if self.of_item else []), offset], dim=-1)

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the score of each projected user with the item in the same position, (…)."""
        d = self.n_factors
        score = (users[..., :d] * items[..., :d]).sum(-1) + items[..., -1]
        return score if self.rest is None else score + self.rest(users[..., d:] + items[..., d:-1])[..., 0]

    def score_all_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, C) of all pairs of projected users (B, …) and items (C, …)."""
        d = self.n_factors
        score = users[:, :d] @ items[:, :d].T + items[:, -1]
        return score if self.rest is None else score + self.rest(users[:, None, d:] + items[None, :, d:-1])[..., 0]
