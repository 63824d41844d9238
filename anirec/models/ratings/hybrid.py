"""Hybrid: what users have done, and what titles are. Meaningful for a title that nobody has rated, and for a new user.

A title's vectors are those of its id plus a linear image of its content (genres, type, synopsis, whatever its branches
see). In training the id is often hidden, so that the content learns to stand for it: DropoutNet (Volkovs, Yu &
Poutanen 2017). A user's vector is that of their id plus a profile of all that they have rated, as in Koren's asymmetric
SVD (2008, equation 13), each title once as liked or not and once as seen.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.models.ratings.content import Content
from anirec.models.ratings.ncf import noise, silence
from anirec.models.ratings.towers import Head
from anirec.settings import NonNegative, PositiveInt, Share


class Hybrid(Content):
    """Towers of ids, content and history; see the module.

    Args:
        branches: By name; frozen ones only: what they see of each title is computed once.
        n_factors: Of the product; as many more go into the MLP.
        hidden: Widths of the MLP; []: the product alone.
        dropout: Within the MLP.
        init_std: Vectors of ids start as normal noise of this size.
        id_dropout: Share of the titles whose id is hidden, others in each step; 0 <= id_dropout < 1.
        profile: Whether users are also described by what they have rated. Without it a new user has no taste.
    """

    whole_users = True

    def __init__(
        self,
        *,
        branches: Mapping[str, Branch],
        n_factors: PositiveInt,
        hidden: list[PositiveInt],
        dropout: Share,
        init_std: NonNegative,
        id_dropout: Share,
        profile: bool,
        **settings: Any,
    ) -> None:
        head = Head(n_factors=n_factors, hidden=hidden, dropout=dropout)
        super().__init__(branches=branches, **settings)
        self.head = head
        self.init_std, self.id_dropout, self.profile = init_std, id_dropout, profile

    def allocate(self) -> None:
        self.allocate_content()
        super().allocate()
        width = self.content.shape[1]
        # Three vectors of a title: how it is met by a user, what liking it says of one, what having seen it says.
        self.of_content = nn.Linear(width, 3 * self.head.width, bias=False)
        nn.init.normal_(self.of_content.weight, std=self.init_std)
        self.offset_of_content = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.offset_of_content.weight)
        self.user_factors = noise(self.n_users, self.head.width, self.init_std)
        self.item_factors = noise(self.n_items, 3 * self.head.width, self.init_std)
        self.item_offset = nn.Parameter(torch.zeros(self.n_items + 1, 1))

    def on_train_start(self) -> None:
        super().on_train_start()
        user = self.training_rows(self.data).user
        if self.profile and np.isin(self.data.given.user, user).any():
            raise UserError(
                "Hybrid learns profiles from training ratings alone: split=masked is for model=profile_mlp."
            )
        silence(self.user_factors, user)

    def vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The items' sides, and what liking each, and having seen it, says of a user: (n_items + 1, width) both."""
        shown = self.known
        if self.training and self.id_dropout:
            shown = shown * (torch.rand_like(shown) >= self.id_dropout)
        met, liked, watched = (self.known * self.item_factors).chunk(3, dim=1)
        met_alone, liked_alone, watched_alone = self.of_content(self.content).chunk(3, dim=1)
        offset = shown * self.item_offset + self.offset_of_content(self.content)
        return self.head.item_side(shown * met + met_alone, offset), liked + liked_alone, watched + watched_alone

    def sides(self, batch: RatingBatch) -> tuple[Tensor, Tensor]:
        items, liked, watched = self.vectors()
        vector = self.rows_of(self.user_factors, batch.user)
        if self.profile:
            left = self.left(batch, self.baseline.user[batch.user])
            own = left[:, None] * embedding(batch.item, liked) + embedding(batch.item, watched)
            _, person, n_rows = batch.user.unique_consecutive(return_inverse=True, return_counts=True)
            sums = own.new_zeros(len(n_rows), own.shape[1]).index_add(0, person, own)
            others = embedding(person, sums) - own
            vector = vector + others / (n_rows[person] - 1).clamp_min(1).sqrt()[:, None]
        return items, self.head.user_side(vector)

    def everyone(self) -> tuple[Tensor, Tensor]:
        items, liked, watched = self.vectors()
        rows = self.data.history
        batch = RatingBatch(*(column.to(self.device) for column in rows.rows(0, len(rows))))
        left = self.left(batch, self.baseline.user[batch.user])
        vector = self.user_factors + self.profiles(batch, left, liked, watched, self.n_users + 1)
        return items, self.head.user_side(vector)

    def profiles(self, batch: RatingBatch, left: Tensor, liked: Tensor, watched: Tensor, n: int) -> Tensor:
        """(n, width): what the rows of people 0 to n - 1, one after the other, say of them."""
        if not self.profile:
            return liked.new_zeros(n, self.head.width)
        n_rows = torch.bincount(batch.user, minlength=n)
        start = n_rows.cumsum(0) - n_rows
        sums = embedding_bag(batch.item, watched, start, mode="sum")
        sums = sums + embedding_bag(batch.item, liked, start, mode="sum", per_sample_weights=left)
        return sums / n_rows.clamp_min(1).sqrt()[:, None]

    def met(self, content: Tensor) -> Tensor:
        """(…, width): how users meet titles that nobody has rated, whose content is (…, columns)."""
        return self.of_content(content).chunk(3, dim=-1)[0]

    def everyones_rating(self, content: Tensor) -> Tensor:
        """(n_users,): of a title that nobody has rated, whose content is (columns,)."""
        side = self.head.item_side(self.met(content), self.offset_of_content(content))
        match = self.head.crossed(self.user_table[:-1], side[None])[:, 0]
        offsets = self.baseline.mean + self.baseline.user[:-1] + self.suggested(content)
        return self.baseline.within_range(offsets + match)

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        batch = deduplicate(batch)
        offset = self.baseline.of_people(batch, n, self.damping_user)
        _, liked, watched = self.vectors()
        left = self.left(batch, offset[batch.user])
        users = self.head.user_side(self.profiles(batch, left, liked, watched, n))
        return self.scores(users, self.baseline.mean + offset)
