"""Hybrid: a two-tower network on ids, rating histories and title content, for unrated titles and new users too."""

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
from anirec.models.ratings.ncf import initial_factors, zero_unseen
from anirec.models.ratings.towers import Head
from anirec.settings import NonNegative, PositiveInt, Share


class Hybrid(Content):
    """Two-tower network that combines collaborative filtering with title content.

    The vector of a title is the embedding of its id plus a linear map of its content (the genres, type, synopsis or
    whatever its branches encode). In training, ids are hidden at random so that content learns to replace them, as in
    DropoutNet. The vector of a user is the embedding of their id plus a profile of all rated titles, as in Koren's
    asymmetric SVD: |N(u)|^-½ Σ_j (r̃_uj x_j + y_j) over the titles j in the user's history N(u), where r̃_uj is the
    rating minus the bias model's prediction. In training, the rating to be predicted is left out of the profile.

    Args:
        branches: Branches by name; all must be frozen, and titles are encoded once.
        n_factors: Length of the vectors in the element-wise product; with an MLP, its input has the same length; >= 1.
        hidden: Widths of the MLP's layers; []: element-wise product only.
        dropout: Dropout in the MLP; 0 <= dropout < 1.
        init_std: Standard deviation of the initial embeddings; >= 0.
        id_dropout: Fraction of the titles whose id is hidden in each step; 0 <= id_dropout < 1.
        profile: Whether user vectors include the profile. Without it, rankings for new users are not personalised.
        **settings: Arguments of `RatingNetwork`.

    Raises:
        UserError: A branch is not frozen, or the split gives training users ratings besides their training rows.

    References:
        Volkovs, Yu & Poutanen, DropoutNet: Addressing Cold Start in Recommender Systems, NeurIPS 2017.
        Koren, Factorization Meets the Neighborhood, KDD 2008, equation 13.
    """

    whole_users = True

    constraints = "anirec.models.constraints:check_hidden"

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
        # Three vectors of a title: one to match users with, and x and y of the user profile.
        self.of_content = nn.Linear(width, 3 * self.head.width, bias=False)
        nn.init.normal_(self.of_content.weight, std=self.init_std)
        self.offset_of_content = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.offset_of_content.weight)
        self.user_factors = initial_factors(self.n_users, self.head.width, self.init_std)
        self.item_factors = initial_factors(self.n_items, 3 * self.head.width, self.init_std)
        self.item_offset = nn.Parameter(torch.zeros(self.n_items + 1, 1))

    def on_train_start(self) -> None:
        super().on_train_start()
        rows = self.training_rows(self.data)
        if self.profile and (np.diff(rows.indptr) > 0)[self.data.given.user].any():
            raise UserError(
                "Hybrid builds user profiles from training ratings only, but this split gives training users further "
                "ratings. Use model=profile_mlp for split=masked."
            )
        zero_unseen(self.user_factors, rows.user)

    def item_vectors(self, items: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return projected items, and their profile vectors x (for ratings) and y (for views), (k, width).

        Args:
            items: Distinct items, int64 (k,); None for all, and the unknown one.
        """
        visible, known, content = self.known, self.known, self.content
        factors: Tensor = self.item_factors
        offset_of_id: Tensor = self.item_offset
        if self.training and self.id_dropout:
            visible = visible * (torch.rand_like(visible) >= self.id_dropout)
        if items is not None:
            visible, known, content = visible[items], known[items], content[items]
            factors = self.embed_rows(self.item_factors, items)
            offset_of_id = self.embed_rows(self.item_offset, items)
        match_id, liked_id, watched_id = (known * factors).chunk(3, dim=1)
        match_content, liked_content, watched_content = self.of_content(content).chunk(3, dim=1)
        offset = visible * offset_of_id + self.offset_of_content(content)
        projected = self.head.project_items(visible * match_id + match_content, offset)
        return projected, liked_id + liked_content, watched_id + watched_content

    def project_batch(self, batch: RatingBatch, items: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        projected, liked, watched = self.item_vectors(items)
        users, user_of_row = self.distinct(batch.user)
        vector = embedding(user_of_row, self.embed_rows(self.user_factors, users))
        if self.profile:
            residual = self.residuals(batch, self.baseline.user[batch.user])
            own = residual[:, None] * embedding(place, liked) + embedding(place, watched)
            run = torch.cat([place.new_zeros(1), batch.user.diff() != 0]).cumsum(0)  # rows of a user are adjacent
            n_others = torch.zeros_like(residual).index_add(0, run, torch.ones_like(residual))[run] - 1
            others = embedding(run, torch.zeros_like(own).index_add(0, run, own)) - own
            vector = vector + others / n_others.clamp_min(1).sqrt()[:, None]
        return projected, self.head.project_users(vector)

    def project_all(self) -> tuple[Tensor, Tensor]:
        items, liked, watched = self.item_vectors()
        vector = self.user_factors.detach().clone()
        for users, batch, offset in self.histories():
            residual = self.residuals(batch, offset)
            vector[users] += self.profiles(batch, residual, liked, watched, users.stop - users.start)
        return items, self.head.project_users(vector)

    def profiles(self, batch: RatingBatch, residual: Tensor, liked: Tensor, watched: Tensor, n: int) -> Tensor:
        """Return the profiles of users 0 to n - 1, (n, width), from their rows, sorted by user."""
        if not self.profile:
            return liked.new_zeros(n, self.head.width)
        n_rows = torch.bincount(batch.user, minlength=n)
        start = n_rows.cumsum(0) - n_rows
        sums = embedding_bag(batch.item, watched, start, mode="sum")
        sums = sums + embedding_bag(batch.item, liked, start, mode="sum", per_sample_weights=residual)
        return sums / n_rows.clamp_min(1).sqrt()[:, None]

    def match_vectors(self, content: Tensor) -> Tensor:
        """Return the vectors (…, width) by which unrated titles with content (…, columns) are matched with users."""
        return self.of_content(content).chunk(3, dim=-1)[0]

    def predict_unrated_title(self, content: Tensor) -> Tensor:
        """Return the predicted ratings of all users, (n_users,), for an unrated title with content (columns,)."""
        side = self.head.project_items(self.match_vectors(content), self.offset_of_content(content))
        match = self.head.score_all_pairs(self.user_table[:-1], side[None])[:, 0]
        offsets = self.baseline.mean + self.baseline.user[:-1] + self.content_offsets(content)
        return self.baseline.within_range(offsets + match)

    @torch.no_grad()
    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        batch = deduplicate(batch)
        offset = self.baseline.new_user_offsets(batch, n, self.damping_user)
        _, liked, watched = self.item_vectors()
        residual = self.residuals(batch, offset[batch.user])
        users = self.head.project_users(self.profiles(batch, residual, liked, watched, n))
        return self.scores(users, self.baseline.mean + offset)
