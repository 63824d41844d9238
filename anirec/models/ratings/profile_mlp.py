"""Profile MLP: a title's features beside the features of all that the user has rated, through a network.

Nothing is learned of a user but from their history, so that it answers for anyone who has one.
Source: the MALSugoi project, "Deep Neural Networks".
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from annotated_types import Len
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.features.branch import Branch
from anirec.models.ratings.content import Content
from anirec.models.ratings.network import RatingNetwork
from anirec.models.ratings.towers import Head
from anirec.settings import PositiveInt, Share

POWERS = {"sum": 0.0, "root": 0.5, "mean": 1.0}  # of the history's length that the sum is divided by


class ProfileMLP(Content, RatingNetwork):
    """[features of the item, profile of the user] through an MLP; what is asked for is left out of the profile.

    Args:
        branches: By name; frozen ones only: what they see of a title are its features.
        hidden: Widths of the MLP.
        dropout: Within the MLP.
        pooling: The profile is the "sum", or the "mean", of weight x features over the history; or "root", the sum over
            the root of its length, which varies as much for long histories as for short ones.
        weight: "rating", as published; or what is "left" of it beyond the offsets of the bias model.
    """

    whole_users = True

    def __init__(
        self,
        *,
        branches: Mapping[str, Branch],
        hidden: Annotated[list[PositiveInt], Len(1)],
        dropout: Share,
        pooling: Literal["sum", "mean", "root"],
        weight: Literal["rating", "left"],
        **settings: Any,
    ) -> None:
        super().__init__(branches=branches, **settings)
        self.hidden, self.dropout, self.pooling, self.weight = list(hidden), dropout, pooling, weight

    def allocate(self) -> None:
        self.allocate_content()
        self.head = Head(n_factors=0, inputs=self.content.shape[1], hidden=self.hidden, dropout=self.dropout)
        super().allocate()

    def items(self) -> Tensor:
        return self.head.item_side(self.content, self.content.new_zeros(len(self.content), 1))

    def weights(self, batch: RatingBatch, offset: Tensor) -> Tensor:
        """(B,): what each row of a history counts; `offset` (B,) is that of its user."""
        return batch.rating.nan_to_num(nan=0.0) if self.weight == "rating" else self.left(batch, offset)

    def pooled(self, sums: Tensor, n_rows: Tensor) -> Tensor:
        """(…, width) of sums (…, width) over histories of so many rows."""
        return sums / n_rows.clamp_min(1)[:, None] ** POWERS[self.pooling]

    def sides(self, batch: RatingBatch) -> tuple[Tensor, Tensor]:
        """The history of a row is all that is known of its user but for itself."""
        own = self.weights(batch, self.baseline.user[batch.user])[:, None] * self.content[batch.item]
        others = self.pooled(self.history_sums[batch.user] - own, self.history_rows[batch.user] - 1)
        return self.items(), self.head.user_side(others)

    def on_train_start(self) -> None:
        super().on_train_start()
        rows = self.data.history
        batch = RatingBatch(*(column.to(self.device) for column in rows.rows(0, len(rows))))
        self.history_rows = torch.bincount(batch.user, minlength=self.n_users + 1)
        weight = self.weights(batch, self.baseline.user[batch.user])
        self.history_sums = self.sums(batch, weight, self.n_users + 1)

    def sums(self, batch: RatingBatch, weight: Tensor, n: int) -> Tensor:
        """(n, width): the weighted features of all that people 0 to n - 1 have rated: one sparse product."""
        n_rows = torch.bincount(batch.user, minlength=n)
        return embedding_bag(batch.item, self.content, n_rows.cumsum(0) - n_rows, mode="sum", per_sample_weights=weight)

    def everyone(self) -> tuple[Tensor, Tensor]:
        return self.items(), self.head.user_side(self.pooled(self.history_sums, self.history_rows))

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        batch = deduplicate(batch)
        offset = self.baseline.of_people(batch, n, self.damping_user)
        sums = self.sums(batch, self.weights(batch, offset[batch.user]), n)
        users = self.head.user_side(self.pooled(sums, torch.bincount(batch.user, minlength=n)))
        return self.scores(users, self.baseline.mean + offset)
