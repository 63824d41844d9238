"""EASE: a linear item-item model for ranking, in closed form."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import popularity_tie_break
from anirec.models.checkpoint import check_shape
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, HistoryScorer, MemoryBased, explained_singularity
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.item_item import lower_gram
from anirec.settings import NonNegative, Positive, Share

COPIES = 2.2  # of the matrix of items: it is inverted in place, but a later process loads a checkpoint beside it
PAIR = 10  # operations that a product of two preferences takes, compared with one in the inversion
ROWS_AT_ONCE = 256  # dislikes whose rows of weights are copied together
MANY = 64  # users, and items, from which on the rows of weights are summed tile by tile


class EASE(HistoryScorer, MemoryBased):
    """Rank items by X B, where B minimises Σ_u w_u |x_u - x_u B|² + reg |B|² with a zero diagonal.

    X is the user-item matrix of preferences: about 1 for most interactions, negative for dislikes (see
    `Baseline.preferences`). In a score, dislikes count only against items with a positive weight. Predicted ratings
    come from the bias model.

    The checkpoint grows with the square of the number of items, and time with its cube: 400 MB and 20 CPU seconds for
    ten thousand items, 40 GB and six CPU hours for a hundred thousand. Memory is twice the checkpoint. A run that does
    not fit into memory is refused before work. `LowRankEASE` needs neither.

    Args:
        reg: L2 penalty on B, in units of interactions; > 0. Sparser data need more.
        dropout: Share of each history that is hidden at random from the inputs; 0 <= dropout < 1. The expected squared
            error has a closed form, EASE with a further penalty of dropout / (1 - dropout) x the diagonal of X'X.
        activity: Exponent of a user's number of interactions, by which the weight w_u of the user is divided; >= 0. 0:
            all interactions weigh the same; 1: all users do. The weights of all interactions have the mean 1.
        popularity: Exponent of an item's number of interactions, by which its scores are divided; >= 0. 0: none, more
            ranks rarer titles higher.
        unrated: Preference of an interaction without a rating, where others have one; >= 0.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    References:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.
        Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020 (dropout).
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    rates_by_bias = True
    users_at_once: ClassVar[int | None] = 2048  # for each block of users all weights are read once
    instead: ClassVar[str] = "model=low_rank_ease"
    bytes_per_row: ClassVar[int] = 24  # preferences, and places of the items in the lists
    operations_per_second: ClassVar[float] = 2e10
    weight_ij: Tensor
    count_i: Tensor

    def __init__(
        self,
        *,
        reg: Positive,
        dropout: Share,
        activity: NonNegative,
        popularity: NonNegative,
        unrated: NonNegative,
        damping_user: NonNegative,
        damping_item: NonNegative,
    ) -> None:
        super().__init__()
        self.reg, self.dropout, self.activity, self.popularity = reg, dropout, activity, popularity
        self.unrated = unrated
        self.damping_user = damping_user
        self.damping_item = damping_item

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: memory grows with the square of the number of items, time with its cube."""
        square = 4 * counts.n_items**2
        operations = PAIR * counts.n_pairs / 2 + counts.n_items**3 / 2
        return super().cost(counts) + Cost(COPIES * square, square, operations)

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("weight_ij", torch.zeros(0, 0))
        self.register_buffer("count_i", torch.zeros(self.n_items))

    def check_tensors(self, n_items: int) -> None:
        check_shape("weight_ij", self.weight_ij, self.weight_ij.new_empty(1).expand(n_items, n_items))

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        from anirec.models.ratings.kernels.dense import invert_in_place

        weight_ij = self.gram()
        weight_ij.diagonal().div_(1 - self.dropout).add_(self.reg)
        with explained_singularity(self.reg):
            if self.device.type == "cpu":
                invert_in_place(weight_ij.numpy())
            else:
                weight_ij = weight_ij.to(self.device)
                torch.linalg.cholesky(weight_ij, out=weight_ij)
                torch.cholesky_inverse(weight_ij, out=weight_ij)
        scale_j = -weight_ij.diagonal() * self.count_i.clamp(min=1) ** self.popularity
        self.weight_ij = weight_ij.div_(scale_j)
        self.weight_ij.fill_diagonal_(0)

    def gram(self) -> Tensor:
        """Return the weighted Gram matrix, float32 (n_items, n_items), of which only the lower triangle is filled."""
        return lower_gram(self, self.weighted_rows())

    def weighted_rows(self) -> Any:
        """Return the matrix that B reconstructs, as `SparseRows`: each history times the root of its user's weight."""
        # Kernels are imported here, as numba is not needed to recommend.
        from anirec.models.ratings.kernels.sparse_rows import SparseRows

        value = self.weigh_unrated(self.baseline.preferences_of(self.history), self.history.rating)
        if self.activity:
            count_u = self.history.indptr.diff()
            weight_u = count_u.clamp(min=1).double() ** -self.activity
            weight_u *= count_u.sum() / (weight_u * count_u).sum()
            value *= weight_u.sqrt().float().repeat_interleave(count_u)
        return SparseRows(*(column.cpu().numpy() for column in (self.history.indptr, self.history.item, value)))

    def weigh_unrated(self, preference: Tensor, rating: Tensor) -> Tensor:
        """Return the preferences of rows (n,), where those without a rating count `unrated`."""
        return torch.where(rating.isnan() & self.baseline.has_ratings, self.unrated, preference)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_history(self, history: History, users: Tensor) -> Tensor:
        rows, bounds = history.rows_of(users)
        preference = self.weigh_unrated(self.baseline.preferences(rows, len(users)), rows.rating)
        if self.device.type == "cpu" and min(len(users), self.n_items) >= MANY:
            return self.sum_by_tile(rows, preference, len(users)).add_(popularity_tie_break(self.count_i))
        likes, dislikes = preference.clamp(min=0), (preference < 0).nonzero()[:, 0]
        scores_bi = embedding_bag(rows.item, self.weight_ij, bounds[:-1], mode="sum", per_sample_weights=likes)
        for some in dislikes.split(ROWS_AT_ONCE):
            against_ni = preference[some, None] * self.weight_ij[rows.item[some]].clamp(min=0)
            scores_bi.index_add_(0, rows.user[some], against_ni)
        return scores_bi.add_(popularity_tie_break(self.count_i))

    def sum_by_tile(self, rows: RatingBatch, preference: Tensor, n: int) -> Tensor:
        """Return the scores of n users, who are so many that it pays to import numba, without the tie break."""
        from anirec.models.ratings.kernels.sparse_rows import SparseRows
        from anirec.models.ratings.kernels.wide_rows import sum_wide_rows

        def some(mask: Tensor) -> SparseRows:
            start = torch.bincount(rows.user[mask], minlength=n).cumsum(0)
            return SparseRows(np.append(0, start.numpy()), rows.item[mask].int().numpy(), preference[mask].numpy())

        return torch.from_numpy(sum_wide_rows(some(preference >= 0), some(preference < 0), self.weight_ij.numpy()))
