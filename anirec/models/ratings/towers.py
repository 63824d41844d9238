"""Two towers and a head: how well a user's vector and an item's go together, for pairs and for all of both.

Source: He et al., Neural Collaborative Filtering, WWW 2017: the element-wise product and an MLP side by side.
"""

import torch
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.models.titles.network import layers


class Head(nn.Module):
    """Score of a user's side and an item's: weighted element-wise product, MLP on both end to end, item offset.

    The MLP's first layer is linear in the two sides, so that each user and item goes through its half once, whatever
    the number of pairs: a user's side is (…, n_factors + hidden[0]) wide, and an item's one wider.

    Args:
        n_factors: Of the product, which is what the vectors of users and items begin with.
        hidden: Widths of the MLP's layers; none: the product alone, which is matrix factorisation.
        dropout: Within the MLP.
        inputs: What follows in the vectors, for the MLP; None: as many as factors.
    """

    def __init__(self, *, n_factors: int, hidden: list[int], dropout: float, inputs: int | None = None) -> None:
        super().__init__()
        if dropout and not hidden:
            raise UserError(
                f"model.dropout={dropout}: hidden=[] has no layer to drop inputs of; make one of them another"
            )
        self.n_factors, self.inputs = n_factors, n_factors if inputs is None else inputs
        self.weight = nn.Parameter(torch.ones(n_factors))
        first = hidden[0] if hidden else 0
        self.of_user = nn.Linear(self.inputs, first) if hidden else None
        self.of_item = nn.Linear(self.inputs, first, bias=False) if hidden else None
        rest, width = layers(first, {"relu": hidden[1:]}, dropout=dropout)
        self.rest = nn.Sequential(nn.ReLU(), rest, nn.Linear(width, 1)) if hidden else None

    @property
    def width(self) -> int:
        """Of the vectors that go in."""
        return self.n_factors + (self.inputs if self.of_user else 0)

    @property
    def projected_width(self) -> int:
        """Width of a user's side; an item's is one more."""
        return self.n_factors + (self.of_user.out_features if self.of_user else 0)

    def project_users(self, vector: Tensor) -> Tensor:
        """(…, side) of vectors (…, width)."""
        product, rest = vector.split([self.n_factors, vector.shape[-1] - self.n_factors], dim=-1)
        return torch.cat([product * self.weight, *([self.of_user(rest)] if self.of_user else [])], dim=-1)

    def project_items(self, vector: Tensor, offset: Tensor) -> Tensor:
        """(…, side + 1) of vectors (…, width) and offsets (…, 1)."""
        product, rest = vector.split([self.n_factors, vector.shape[-1] - self.n_factors], dim=-1)
        return torch.cat([product, *([self.of_item(rest)] if self.of_item else []), offset], dim=-1)

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """(…): the score of each user's side with the item's beside it."""
        d = self.n_factors
        score = (users[..., :d] * items[..., :d]).sum(-1) + items[..., -1]
        return score if self.rest is None else score + self.rest(users[..., d:] + items[..., d:-1])[..., 0]

    def score_all_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """(B, C): the score of every user's side (B, side) with every item's (C, side + 1)."""
        d = self.n_factors
        score = users[:, :d] @ items[:, :d].T + items[:, -1]
        return score if self.rest is None else score + self.rest(users[:, None, d:] + items[None, :, d:-1])[..., 0]
