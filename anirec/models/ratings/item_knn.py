"""Item-item collaborative filtering: you will like what is liked by those who like what you like."""

from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel, popularity_tie_break
from anirec.models.one_pass import History, HistoryScorer
from anirec.models.ratings.bias import Baseline, count_by_index
from anirec.models.ratings.kernels.neighbours import (
    Neighbours,
    SparseRows,
    find_neighbours,
    predict_deviations,
    sum_votes,
)
from anirec.settings import NonNegative, PositiveInt

# Each similarity: what is subtracted from (or divides) a rating before columns are compared, and whether their lengths
# are those of the shared entries or of all.
SIMILARITIES = {
    "pearson_baseline": ("baseline", True),
    "pearson": ("item_mean", True),
    "centred_cosine": ("item_mean", False),
    "cosine": ("nothing", False),
    "ratio_cosine": ("item_mean_ratio", False),
}


class ItemKNN(HistoryScorer, RatingModel):
    """Predict from the user's ratings of similar items (Sarwar et al. 2001; Koren 2010, section 2.2).

    A rating is expected(u, i) + Σ s_ij (r_uj - expected(u, j)) / Σ s_ij over the nearest j that u rated; the bias
    model's where there is none. A ranking score is Σ s_ij over the `neighbours` nearest of i that u rated, not divided:
    a mean would rank an item with a single neighbour first (Cremonesi, Koren & Turrin 2010).

    Args:
        similarity: Of two columns of ratings: "pearson_baseline", around the bias model, over shared users;
            "pearson", around item means, likewise; "centred_cosine", around item means, over all users; "cosine", of
            ratings as they are; "ratio_cosine", of ratings divided by the item's mean.
        around: What a rating is expected to be: "baseline", the bias model; "item_mean"; or "nothing", zero.
        neighbours: Items used in one prediction at most; >= 1.
        keep: Similar items stored for each item; memory is 8 bytes times this times the items.
        shrinkage: Similarities are multiplied by (n - 1) / (n - 1 + shrinkage), n the number of shared users; >= 0.
        min_support: Shared users below which two items are not similar; >= 1.
        damping_user: Of the bias model; >= 0.
        damping_item: Likewise for items.
    """

    deviation: Tensor
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

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("mean_i", torch.zeros(self.n_items + 1))
        for name in ("count_i", "deviation", "neighbour_ik", "similarity_ik", "voter_start", "voter", "vote"):
            self.register_buffer(name, torch.empty(0))

    def solve(self) -> None:
        history = self.history
        user, item = history.user(), history.item.long()
        self.baseline.fit(history, self.damping_user, self.damping_item)
        counts = count_by_index(item, self.n_items + 1)
        self.mean_i = (torch.zeros_like(counts).index_add_(0, item, history.rating.double()) / counts).float()
        self.count_i = counts[:-1].float()

        centre, among_shared = SIMILARITIES[self.similarity]
        if centre == "item_mean_ratio":
            compared = history.rating / self.mean_i[item]
        else:
            compared = history.rating - self.expected(user, item, centre)
        neighbours = find_neighbours(
            self.by_user(compared),
            self.n_items,
            among_shared=among_shared,
            shrinkage=self.shrinkage,
            min_support=self.min_support,
            keep=self.keep,
        )
        self.neighbour_ik, self.similarity_ik = (torch.from_numpy(table).to(self.device) for table in neighbours)
        voters = neighbours.voters(self.neighbours)
        self.voter_start, self.voter, self.vote = (torch.from_numpy(column).to(self.device) for column in voters)
        self.deviation = history.rating - self.expected(user, item, self.around)

    def expected(self, user: Tensor, item: Tensor, around: str) -> Tensor:
        """(B,): what a rating would be, were it not for the user's taste."""
        if around == "baseline":
            offsets = self.baseline
            return offsets.mean + offsets.user[user] + offsets.item[item]
        return self.mean_i[item] if around == "item_mean" else torch.zeros(len(item), device=item.device)

    def by_user(self, value: Tensor) -> SparseRows:
        """The training rows with another value in the place of their rating."""
        return SparseRows(*arrays(self.history.indptr, self.history.item, value))

    def forward(self, batch: RatingBatch) -> Tensor:
        rows, items = arrays(batch.user % (self.n_users + 1), batch.item)  # user -1: the last row, which is empty
        neighbours = Neighbours(*arrays(self.neighbour_ik, self.similarity_ik))
        found = predict_deviations(rows, items, self.by_user(self.deviation), neighbours, n_used=self.neighbours)
        deviation = torch.from_numpy(found).to(batch.user.device)
        rating = self.expected(batch.user, batch.item, self.around) + deviation
        return self.baseline.within_range(torch.where(deviation.isnan(), self.baseline(batch.user, batch.item), rating))

    def score_history(self, history: History, users: Tensor) -> Tensor:
        scores_bi = (popularity_tie_break(self.count_i)).cpu().repeat(len(users), 1)
        voters = SparseRows(*arrays(self.voter_start, self.voter, self.vote))
        rows = (users % (history.n_users + 1)).cpu().numpy()
        by_user = SparseRows(*arrays(history.indptr, history.item, history.rating))
        sum_votes(rows, by_user, voters, scores_bi.numpy())
        return scores_bi.to(users.device)


def arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    """The kernels run on the CPU, whatever the device."""
    return [tensor.cpu().numpy() for tensor in tensors]
