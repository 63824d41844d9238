"""Genre popularity: a baseline for unrated titles, which ranks them by their genres."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from anirec.data.ratings.interactions import RatingBatch
from anirec.metrics.beyond_accuracy import genre_matrix
from anirec.models.base import popularity_tie_break
from anirec.models.checkpoint import check_shape
from anirec.models.one_pass import History, HistoryScorer, MemoryBased
from anirec.models.ratings.bias import Baseline, count_by_index, sum_by_index
from anirec.settings import NonNegative


class GenrePopularity(HistoryScorer, MemoryBased):
    """Rank items by Σ_g share(u, g) · popularity(g) over their genres g.

    popularity(g) is the mean of log(1 + training interactions) over the titles of genre g that have any. share(u, g) is
    the fraction of the user's training items with genre g, each weighted by the user's preference, which is negative
    for dislikes (see `Baseline.preferences`). Scores are sums, not means, over genres: a mean would place titles with a
    single genre first, while well-known titles have several. Titles without genres rank last. A predicted rating is the
    user's damped mean plus the mean of the damped offsets of the title's genres.

    Args:
        personal: Whether to weight genres by share(u, g); if false, all users get the same ranking.
        damping_user: Number of pseudo-ratings at the mean added to every user; >= 0.
        damping_genre: Number of pseudo-ratings at the mean added to every genre; >= 0.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "genres"})
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    bytes_per_row: ClassVar[int] = 48  # user, item and residual of each row
    count_i: Tensor
    genre_ig: Tensor
    popularity_g: Tensor
    offset_g: Tensor

    def __init__(self, *, personal: bool, damping_user: NonNegative, damping_genre: NonNegative) -> None:
        super().__init__()
        self.personal = personal
        self.damping_user = damping_user
        self.damping_genre = damping_genre

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("count_i", torch.zeros(self.n_items))
        self.register_buffer("genre_ig", torch.empty(self.n_items + 1, 0))
        for name in ("popularity_g", "offset_g"):
            self.register_buffer(name, torch.empty(0))

    def check_tensors(self, n_items: int) -> None:
        for name in ("popularity_g", "offset_g"):
            check_shape(name, self.get_buffer(name), self.genre_ig[0])

    def solve(self) -> None:
        genres = genre_matrix(self.data.items["genres"]).astype(np.float32)
        self.genre_ig = torch.from_numpy(np.vstack([genres, np.zeros_like(genres[:1])])).to(self.device)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        seen_ig = self.genre_ig[:-1] * (self.count_i > 0)[:, None]
        self.popularity_g = seen_ig.T @ self.count_i.log1p() / seen_ig.sum(0).clamp(min=1)
        self.fit_ratings()

    def fit_ratings(self) -> None:
        """Fit user offsets, then genre offsets to the residuals."""
        rated = ~self.history.rating.isnan()
        user, item, rating = self.history.user()[rated], self.history.item[rated], self.history.rating[rated].double()
        self.baseline.centre(rating.cpu().numpy())
        residual = rating - rating.mean()
        weight = count_by_index(user, self.n_users + 1) + self.damping_user
        offset_u = sum_by_index(user, residual, weight) / weight
        # Sum by title first, since there are far more ratings than titles.
        rated_i = torch.bincount(item, minlength=self.n_items).double()
        residual_i = sum_by_index(item, residual - offset_u[user], rated_i)
        genre_gi = self.genre_ig[:-1].double().T
        n_g = (genre_gi @ rated_i + self.damping_genre).clamp(min=1)
        self.offset_g = (genre_gi @ residual_i / n_g).float()
        self.baseline.user = offset_u.float()

    def forward(self, batch: RatingBatch) -> Tensor:
        of_genres = normalize(self.genre_ig[batch.item], p=1) @ self.offset_g
        return self.baseline.within_range(self.baseline.mean + self.baseline.user[batch.user] + of_genres)

    def score_history(self, history: History, users: Tensor) -> Tensor:
        rows, bounds = history.rows_of(users)
        preferences = self.baseline.preferences(rows, len(users))
        sums_bg = embedding_bag(rows.item, self.genre_ig, bounds[:-1], mode="sum", per_sample_weights=preferences)
        likes_b = torch.zeros(len(users), device=users.device).index_add_(0, rows.user, preferences.clamp(min=0))
        share_bg = sums_bg / likes_b.clamp(min=1)[:, None]
        if not self.personal:
            share_bg = torch.ones_like(share_bg)
        # An unknown user gets the average shares of all users.
        share_bg[~share_bg.any(dim=1)] = normalize(self.count_i @ self.genre_ig[:-1], p=1, dim=0)
        scores_bi = (share_bg * self.popularity_g) @ self.genre_ig[:-1].T
        return scores_bi + popularity_tie_break(self.count_i)
