"""Profile MLP: a network on a title's features and the pooled features of the user's rated titles."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
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

POWERS = {"sum": 0.0, "root": 0.5, "mean": 1.0}  # the sum is divided by this power of the history's length


class ProfileMLP(Content, RatingNetwork):
    """Feed [item features, user profile] to an MLP; the title to be predicted is left out of the profile.

    The profile is the pooled sum of weight x features over the user's rated titles. It has no parameters of its own per
    user, so the model predicts for every user with a history, including new ones.

    Args:
        branches: Branches by name, which encode the features of a title; all must be frozen.
        hidden: Widths of the MLP's layers; at least one.
        dropout: Dropout in the MLP; 0 <= dropout < 1.
        pooling: "sum" or "mean" over the history; or "root", the sum divided by the square root of the history's
            length, whose variance does not depend on that length.
        weight: Weight of a rated title: its "rating", as published, or "left", the residual of the bias model.
        **settings: Arguments of `RatingNetwork`.

    References:
        The MALSugoi project, section "Deep Neural Networks".
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

    def project_content(self, content: Tensor) -> Tensor:
        """Return projected items with content (k, columns)."""
        return self.head.project_items(content, content.new_zeros(len(content), 1))

    def weights(self, batch: RatingBatch, offset: Tensor) -> Tensor:
        """Return the weight of each row in the profile, (B,); `offset` (B,) is the offset of its user."""
        return batch.rating.nan_to_num(nan=0.0) if self.weight == "rating" else self.residuals(batch, offset)

    def pool(self, sums: Tensor, n_rows: Tensor) -> Tensor:
        """Return profiles (n, width) from sums (n, width) over histories with `n_rows` (n,) rows."""
        return sums / n_rows.clamp_min(1)[:, None] ** POWERS[self.pooling]

    def project_batch(self, batch: RatingBatch, items: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Project the items, and each row's user by a profile without that row."""
        content = self.content[items]
        own = self.weights(batch, self.baseline.user[batch.user])[:, None] * content[place]
        others = self.pool(self.history_sums[batch.user] - own, self.history_rows[batch.user] - 1)
        return self.project_content(content), self.head.project_users(others)

    def on_train_start(self) -> None:
        super().on_train_start()
        rows = self.data.history
        self.history_rows = torch.from_numpy(np.diff(rows.indptr, append=len(rows))).to(self.device)
        self.history_sums = self.content.new_zeros(self.n_users + 1, self.content.shape[1])
        for users, batch, offset in self.histories():
            weight = self.weights(batch, offset)
            self.history_sums[users] = self.profile_sums(batch, weight, users.stop - users.start)

    def profile_sums(self, batch: RatingBatch, weight: Tensor, n: int) -> Tensor:
        """Return the sums of weighted features over the histories of users 0 to n - 1, (n, width)."""
        n_rows = torch.bincount(batch.user, minlength=n)
        return embedding_bag(batch.item, self.content, n_rows.cumsum(0) - n_rows, mode="sum", per_sample_weights=weight)

    def project_all(self) -> tuple[Tensor, Tensor]:
        return self.project_content(self.content), self.head.project_users(
            self.pool(self.history_sums, self.history_rows)
        )

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        batch = deduplicate(batch)
        offset = self.baseline.new_user_offsets(batch, n, self.damping_user)
        sums = self.profile_sums(batch, self.weights(batch, offset[batch.user]), n)
        users = self.head.project_users(self.pool(sums, torch.bincount(batch.user, minlength=n)))
        return self.scores(users, self.baseline.mean + offset)
