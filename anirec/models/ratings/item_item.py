"""Base class of models that rank by a sparse matrix of weights between items."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import popularity_tie_break, tensor_versions
from anirec.models.checkpoint import check_indices
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, HistoryScorer, MemoryBased, exchange_rows
from anirec.models.ratings.bias import DAMPING, DISLIKED, MARGIN, Baseline
from anirec.settings import NonNegative, PositiveInt


class ItemItem(HistoryScorer, MemoryBased):
    """Rank items by X W, where W has at most `keep` weights per item, all of them positive.

    X is the user-item matrix of preferences: about 1 for most interactions, negative for dislikes (see
    `Baseline.preferences`). Predicted ratings come from the bias model. A subclass defines `weigh`.

    Args:
        keep: Largest number of weights per item, >= 1; 8 bytes each.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = 32  # preferences, their values in the graph, and places of the items in the lists
    count_i: Tensor
    neighbour_ik: Tensor
    weight_ik: Tensor

    def __init__(
        self, *, keep: PositiveInt, damping_user: NonNegative, damping_item: NonNegative, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.keep = keep
        self.damping_user = damping_user
        self.damping_item = damping_item
        self.voters: tuple[Any, Any] = (None, None)

    @abstractmethod
    def weigh(self, by_user: Any, neighbour_ik: NDArray[np.int32], weight_ik: NDArray[np.float32]) -> list[int]:
        """Fill this process's share of the rows of both tables, which hold the items that count for each item.

        Args:
            by_user: The preferences, as `SparseRows`.
            neighbour_ik: Items, int32 (n_items, K).
            weight_ik: Their weights, float32 (n_items, K), largest first; 0 where an item has fewer.

        Returns:
            Bounds of the rows of each process.
        """

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: `keep` weights per item, by item and, for scoring, by the item that counts."""
        table = 8 * counts.n_items * min(self.keep, counts.n_items)
        return super().cost(counts) + Cost(memory=2 * table)

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        shape = self.n_items, min(self.keep, self.n_items)
        self.register_buffer("count_i", torch.zeros(self.n_items))
        self.register_buffer("neighbour_ik", torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("weight_ik", torch.zeros(shape))

    def check_tensors(self, n_items: int) -> None:
        check_indices("neighbour_ik", self.neighbour_ik, n_items)

    def solve(self) -> None:
        # Kernels are imported where they are used, as numba is not needed to load a model.
        from anirec.models.ratings.kernels.sparse_rows import SparseRows

        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        columns = self.history.indptr, self.history.item, self.baseline.preferences_of(self.history)
        by_user = SparseRows(*(column.cpu().numpy() for column in columns))
        tables = torch.zeros(self.neighbour_ik.shape, dtype=torch.int32), torch.zeros(self.weight_ik.shape)
        bounds = self.weigh(by_user, *(table.numpy() for table in tables))
        for table in tables:
            exchange_rows(table, bounds, self.device)
        self.neighbour_ik, self.weight_ik = (table.to(self.device) for table in tables)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_history(self, history: History, users: Tensor) -> Tensor:
        from anirec.models.ratings.kernels.neighbours import Neighbours

        version, voters = tensor_versions(self), self.voters[1]
        if version != self.voters[0]:
            voters = Neighbours(self.neighbour_ik.cpu().numpy(), self.weight_ik.cpu().numpy()).voters(self.keep)
            self.voters = version, voters
        return score_by_votes(history, users, self.baseline, voters, self.count_i)


def score_by_votes(history: History, users: Tensor, baseline: Baseline, voters: Any, count_i: Tensor) -> Tensor:
    """Return the users' scores, (B, n_items): the votes of their items, weighted by preferences, and the tie break.

    Args:
        history: Histories.
        users: Users, int64 (B,); -1 is an unknown one.
        baseline: Defines the preferences.
        voters: In row j, the items that j votes for, and the votes, as `SparseRows`.
        count_i: Number of interactions of each item.
    """
    from anirec.models.ratings.kernels.sparse_rows import SparseRows
    from anirec.models.ratings.kernels.votes import Expected, sum_votes

    entries = SparseRows(*(column.cpu().numpy() for column in (history.indptr, history.item, history.rating)))
    mean, lowest, highest = (np.float32(of.item()) for of in (baseline.mean, baseline.lowest, baseline.highest))
    limits = mean, lowest, highest, baseline.item.cpu().numpy()
    expected = Expected(bool(baseline.has_ratings), *limits, np.float32(MARGIN), np.float32(DISLIKED), DAMPING)
    rows = (users % (history.n_users + 1)).cpu().numpy()
    scores_bi = sum_votes(rows, entries, expected, voters, popularity_tie_break(count_i).cpu().numpy())
    return torch.from_numpy(scores_bi).to(users.device)


def lower_gram(model: MemoryBased, by_user: Any) -> Tensor:
    """Return the Gram matrix X'X, float32 (n_items, n_items), of which only the lower triangle is filled.

    Each process of the model sums a share of its rows.

    Args:
        model: The model that is trained.
        by_user: X, as `SparseRows`.
    """
    from anirec.models.ratings.kernels.item_pairs import gram_lower, occurrences, pair_counts

    of_item = occurrences(by_user, model.n_items)
    gram_ij = torch.from_numpy(np.zeros((model.n_items, model.n_items), np.float32))  # in huge pages, unlike torch's
    bounds, first, last = model.share_of_work(pair_counts(of_item))
    gram_lower(by_user, of_item, first, last, gram_ij.numpy())
    exchange_rows(gram_ij, bounds, model.device)
    return gram_ij
