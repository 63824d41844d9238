"""Item-item collaborative filtering with k nearest neighbours."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.checkpoint import check_indices, check_rows, check_shape
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, HistoryScorer, MemoryBased, broadcast
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.item_item import score_by_votes
from anirec.models.ratings.kernels.neighbours import (
    AT_ONCE,
    SIMILARITIES_AT_ONCE,
    NearestItems,
    Neighbours,
    Offsets,
    Similarity,
    predict_deviations,
)
from anirec.models.ratings.kernels.sparse_rows import SparseRows, count_columns, sum_columns
from anirec.settings import NonNegative, PositiveInt

PAIR = 3  # operations on each pair of ratings of a user
# Of each similarity: what is subtracted from a rating (or divides it) before columns are compared, and whether their
# norms are over the shared users only.
SIMILARITIES = {
    "pearson_baseline": ("baseline", True),
    "pearson": ("item_mean", True),
    "centred_cosine": ("item_mean", False),
    "cosine": ("nothing", False),
    "ratio_cosine": ("item_mean_ratio", False),
}


class ItemKNN(HistoryScorer, MemoryBased):
    """Predict a rating from the user's ratings of similar items.

    The rating is b_ui + Σ_j s_ij (r_uj - b_uj) / Σ_j s_ij over the nearest neighbours j of item i that user u has
    rated, where b is set by `around`; without any neighbour it is the bias model's prediction. The ranking score is Σ_j
    x_uj s_ij over those of the item's `neighbours` nearest neighbours that the user has rated, where x_uj is the
    preference: about 1 for most ratings, negative for dislikes (see `Baseline.preferences`). It is not normalised,
    since that would rank items with a single neighbour first.

    Args:
        similarity: Similarity of two columns of ratings. "pearson_baseline": residuals of the bias model, over shared
            users; "pearson": deviations from item means, over shared users; "centred_cosine": the same over all users;
            "cosine": unmodified ratings; "ratio_cosine": ratings divided by the item's mean.
        around: Baseline b_ui of a rating: "baseline", the bias model; "item_mean"; or "nothing", zero.
        neighbours: Maximum number of neighbours in a prediction; >= 1.
        keep: Number of similar items stored per item, >= 1, at 8 bytes each.
        shrinkage: Similarities are multiplied by (n - 1) / (n - 1 + shrinkage) for n shared users; >= 0.
        min_support: Minimum number of shared users of two similar items; >= 1.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    References:
        Sarwar et al., Item-Based Collaborative Filtering Recommendation Algorithms, WWW 2001.
        Koren, Factor in the Neighbors, ACM TKDD 4, 2010, section 2.2.
        Cremonesi, Koren & Turrin, Performance of Recommender Algorithms on Top-N Recommendation Tasks, RecSys 2010.
    """

    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    bytes_per_row: ClassVar[int] = 40  # compared values by user, renumbered, and places of the items in the lists
    instead: ClassVar[str] = "a smaller model.keep"
    mean_i: Tensor
    count_i: Tensor
    neighbour_ik: Tensor
    similarity_ik: Tensor
    voter_start: Tensor
    voter: Tensor
    vote: Tensor

    def __init__(
        self,
        *,
        similarity: Literal["pearson_baseline", "pearson", "centred_cosine", "cosine", "ratio_cosine"],
        around: Literal["baseline", "item_mean", "nothing"],
        neighbours: PositiveInt,
        keep: PositiveInt,
        shrinkage: NonNegative,
        min_support: PositiveInt,
        damping_user: NonNegative,
        damping_item: NonNegative,
    ) -> None:
        super().__init__()
        self.similarity, self.around = similarity, around
        self.neighbours, self.keep = neighbours, keep
        self.shrinkage, self.min_support = shrinkage, min_support
        self.damping_user = damping_user
        self.damping_item = damping_item

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: `keep` neighbours per item, and operations on pairs of ratings."""
        kept, voting = min(self.keep, counts.n_items), min(self.neighbours, self.keep, counts.n_items)
        neighbours, candidates = 8 * counts.n_items * (kept + voting), 8 * counts.n_items * (2 * kept + AT_ONCE)
        memory = neighbours + candidates + 4 * SIMILARITIES_AT_ONCE
        return super().cost(counts) + Cost(memory, neighbours, PAIR * counts.n_pairs / 2)

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("mean_i", torch.zeros(self.n_items + 1))
        self.register_buffer("count_i", torch.zeros(self.n_items))
        for name in ("neighbour_ik", "similarity_ik"):
            self.register_buffer(name, torch.empty(self.n_items, 0))
        self.register_buffer("voter_start", torch.zeros(self.n_items + 1, dtype=torch.int64))
        for name in ("voter", "vote"):
            self.register_buffer(name, torch.empty(0))

    def check_tensors(self, n_items: int) -> None:
        check_shape("similarity_ik", self.similarity_ik, self.neighbour_ik)
        check_indices("neighbour_ik", self.neighbour_ik, n_items)
        check_rows("voter_start", self.voter_start, self.voter, self.vote)
        check_indices("voter", self.voter, n_items)

    def solve(self) -> None:
        history = self.history
        self.baseline.fit(history, self.damping_user, self.damping_item)
        ratings = self.ratings()
        counts = count_columns(ratings.column, self.n_items + 1)
        totals = sum_columns(ratings.column, ratings.value, self.n_items + 1, 1)
        mean_i = (totals / np.maximum(counts, np.finfo(np.float64).tiny)).astype(np.float32)
        self.mean_i, self.count_i = (torch.from_numpy(of).to(self.device) for of in (mean_i, counts[:-1].astype("f4")))

        centre, among_shared = SIMILARITIES[self.similarity]
        if centre == "item_mean_ratio":
            compared = ratings._replace(value=ratings.value / mean_i[ratings.column])
        else:
            compared = self.offsets(centre).deviations(ratings)
        similarity = Similarity(among_shared, self.shrinkage, self.min_support)
        neighbours = self.nearest(NearestItems(compared, self.n_items, similarity, keep=self.keep))
        self.neighbour_ik, self.similarity_ik = (torch.from_numpy(table).to(self.device) for table in neighbours)
        voters = neighbours.voters(self.neighbours)
        self.voter_start, self.voter, self.vote = (torch.from_numpy(column).to(self.device) for column in voters)

    def nearest(self, items: NearestItems) -> Neighbours:
        """Compare all items; each process compares a share of the pairs, and gets the best candidates of the others."""
        bounds, first, last = self.share_of_work(items.work())
        items.compare(first, last)
        n_processes = len(bounds) - 1
        if n_processes > 1:
            mine = torch.from_numpy(items.keys.copy()), torch.from_numpy(items.n_keys.copy())
            for rank in range(n_processes):
                keys, n_keys = (broadcast(column, rank, self.device).numpy() for column in mine)
                if rank != self.trainer.global_rank:
                    items.merge(keys, n_keys)
        return items.best()

    def offsets(self, around: str) -> Offsets:
        """Return the baseline around which ratings are centred, as offsets of users and items."""
        none_u, none_i = torch.zeros(self.n_users + 1), torch.zeros(self.n_items + 1)
        if around == "baseline":
            return Offsets(*arrays(self.baseline.mean + self.baseline.user, self.baseline.item))
        return Offsets(*arrays(none_u, self.mean_i if around == "item_mean" else none_i))

    def ratings(self) -> SparseRows:
        """Return the training ratings."""
        return SparseRows(*arrays(self.history.indptr, self.history.item, self.history.rating))

    def forward(self, batch: RatingBatch) -> Tensor:
        # User -1 selects the last row, which is empty.
        rows, items = arrays(batch.user % (self.n_users + 1), batch.item)
        neighbours, around = Neighbours(*arrays(self.neighbour_ik, self.similarity_ik)), self.offsets(self.around)
        found = predict_deviations(rows, items, self.ratings(), around, neighbours, n_used=self.neighbours)
        rating = torch.from_numpy(around.user[rows] + around.item[items] + found).to(batch.user.device)
        return self.baseline.within_range(torch.where(rating.isnan(), self.baseline(batch.user, batch.item), rating))

    def score_history(self, history: History, users: Tensor) -> Tensor:
        voters = SparseRows(*arrays(self.voter_start, self.voter, self.vote))
        return score_by_votes(history, users, self.baseline, voters, self.count_i)


def arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    """Return the tensors as NumPy arrays for the kernels, which run on the CPU."""
    return [tensor.cpu().numpy() for tensor in tensors]
