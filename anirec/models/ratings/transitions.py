"""Transitions: a first-order Markov chain over items, which ranks by what users watched next."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.base import HistoryReader, popularity_tie_break
from anirec.models.checkpoint import check_indices, check_rows, check_shape
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, MemoryBased
from anirec.models.ratings.bias import Baseline
from anirec.settings import NonNegative, PositiveInt

ENTRY, COPIES = 12, 3  # bytes of an entry of a sparse matrix, and copies while two such matrices are added
PAIR = 40  # operations on each pair of items that follow each other
# Buffers of two sparse matrices: transition probabilities by item, and newest items by user.
PARTS = [f"{matrix}_{part}" for matrix in ("next", "newest") for part in ("start", "item", "weight")]


class Transitions(MemoryBased, HistoryReader):
    """Rank items by the transition probabilities from the user's newest items.

    A user's training items are grouped into moments: items with the same time form one moment and have no order among
    themselves. Items of unknown time count only for ratings and popularity.

    The score of item i is Σ_a decay^a mean_j P(i | j) over the `last` newest moments of the user, where a is the age of
    a moment (0 for the newest) and j its items. P(i | j) = n(j, i) / (Σ_i n(j, i) + shrinkage). Each pair of moments of
    a user at a distance gap <= `window` adds gap_decay^(gap - 1) to n, divided equally among its pairs (j, i), which
    treats all orders of tied items as equally likely. Predicted ratings come from the bias model. In the test of a
    split in time, the user's newest items include the validation rows; see `HistoryReader`.

    Args:
        window: Maximum distance of two items in moments, >= 1; 1: consecutive moments only.
        gap_decay: Factor on the weight of a pair per further moment of distance; >= 0, usually below 1.
        shrinkage: Number of pseudo-transitions from each item to no item; >= 0.
        last: Number of the user's newest moments that count; >= 1.
        decay: Factor on the weight of a moment per moment of age; >= 0, usually below 1.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    Raises:
        UserError: A number is out of its range, or no row has a time.

    References:
        Rendle, Freudenthaler & Schmidt-Thieme, Factorizing Personalized Markov Chains for Next-Basket Recommendation,
        WWW 2010; here without factorisation.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "timestamp"})
    version: ClassVar[int] = 1  # 1: validation rows are history in the test of a split in time
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = 96  # the rows in order of time
    instead: ClassVar[str] = "a smaller model.window"
    count_i: Tensor

    def __init__(
        self,
        *,
        window: PositiveInt,
        gap_decay: NonNegative,
        shrinkage: NonNegative,
        last: PositiveInt,
        decay: NonNegative,
        damping_user: NonNegative,
        damping_item: NonNegative,
    ) -> None:
        super().__init__()
        self.window, self.last = window, last
        self.gap_decay, self.decay = gap_decay, decay
        self.shrinkage = shrinkage
        self.damping_user = damping_user
        self.damping_item = damping_item

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: counts of pairs of items that followed each other, as a sparse matrix."""
        n_pairs = min(counts.n_items**2, self.window * counts.n_rows)
        newest = counts.n_users * self.last
        return super().cost(counts) + Cost(
            memory=COPIES * ENTRY * (n_pairs + newest),
            checkpoint=8 * (n_pairs + newest),
            operations=PAIR * self.window * counts.n_rows,
        )

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("count_i", torch.zeros(self.n_items))
        for name in PARTS:
            self.register_buffer(name, torch.empty(0))

    def check_tensors(self, n_items: int) -> None:
        for prefix, n_rows in (("next", n_items), ("newest", self.n_users + 1)):
            start, item, weight = (self.get_buffer(f"{prefix}_{name}") for name in ("start", "item", "weight"))
            check_rows(f"{prefix}_start", start, item, weight)
            check_shape(f"{prefix}_start", start, start.new_empty(n_rows + 1))
            check_indices(f"{prefix}_item", item, n_items)

    def on_train_start(self) -> None:
        self.ordered_rows()  # raises an error at once if the data have no times

    def ordered_rows(self) -> Interactions:
        return self.training_rows(self.data).sort_by_time()

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        self.history = History(self.n_users)  # no longer needed, so that the checkpoint stays small
        rows = self.ordered_rows()
        counts = transition_counts(rows, self.n_items, window=self.window, decay=self.gap_decay)
        totals = np.repeat(counts.sum(axis=1) + self.shrinkage, np.diff(counts.indptr))
        counts.data /= totals
        self.set_matrix("next", counts)
        self.read_histories(self.training_rows(self.data))

    def read_histories(self, rows: Interactions) -> None:
        ordered = rows.sort_by_time()
        self.set_matrix(
            "newest", newest_items(ordered, self.n_users + 1, self.n_items, last=self.last, decay=self.decay)
        )

    def set_matrix(self, prefix: str, matrix: csr_array) -> None:
        """Store a sparse matrix in the buffers with a prefix."""
        parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))
        for name, part in zip(("start", "item", "weight"), parts, strict=True):
            setattr(self, f"{prefix}_{name}", torch.from_numpy(part).to(self.device))

    def sparse_matrix(self, prefix: str, n_rows: int) -> csr_array:
        """Return the sparse matrix (n_rows, n_items) stored in the buffers with a prefix."""
        parts = (self.get_buffer(f"{prefix}_{name}").cpu().numpy() for name in ("weight", "item", "start"))
        return csr_array(tuple(parts), shape=(n_rows, self.n_items))

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        # User -1 selects the last row, which is empty.
        newest_bi = self.sparse_matrix("newest", self.n_users + 1)[(users % (self.n_users + 1)).cpu().numpy()]
        scores_bi = torch.from_numpy((newest_bi @ self.sparse_matrix("next", self.n_items)).toarray()).to(users.device)
        return scores_bi + popularity_tie_break(self.count_i)

    def provenance(self) -> dict[str, Any]:
        return {"order": self.order_counts}

    @cached_property
    def order_counts(self) -> dict[str, int]:
        """Numbers of training rows, rows without a time, and rows with the time of another row of the same user."""
        rows, ordered = self.training_rows(self.data), self.ordered_rows()
        n_tied = int((np.bincount(ordered.time_group)[ordered.time_group] > 1).sum())
        return {"n_rows": len(rows), "n_unknown_time": len(rows) - len(ordered), "n_tied": n_tied}

    @property
    def findings(self) -> list[str]:
        n_rows, n_unknown_time, n_tied = self.order_counts.values()
        if not n_unknown_time and not n_tied:
            return []
        return [
            f"Of {n_rows:,} training rows, {n_unknown_time:,} have no time and are excluded from transitions; "
            f"{n_tied:,} have the same time as another row of the same user, and their order is treated as unknown."
        ]


def transition_counts(rows: Interactions, n_items: int, *, window: int, decay: float) -> csr_array:
    """Return how often the column's item followed the row's item, float64 (n_items, n_items), decayed by the gap.

    Args:
        rows: Interactions in order of time.
        n_items: Number of items.
        window: Largest gap, in moments.
        decay: Factor on the weight per further moment of the gap.

    >>> user, item, time = np.array([0, 0, 0, 1]), np.array([2, 0, 1, 2]), np.array([5, 6, 6, 5])
    >>> rows = Interactions(user, item, np.ones(4, np.float32), 2, time)
    >>> transition_counts(rows, 3, window=2, decay=0.5).toarray()
    array([[0. , 0. , 0. ],
           [0. , 0. , 0. ],
           [0.5, 0.5, 0. ]])
    """
    counts = csr_array((n_items, n_items), dtype=np.float64)
    moment_mi, user_m = moments(rows, n_items)
    for gap in range(1, window + 1):
        (before,) = np.nonzero(user_m[gap:] == user_m[:-gap])
        counts += decay ** (gap - 1) * (moment_mi[before].T @ moment_mi[before + gap]).tocsr()
    return counts


def newest_items(rows: Interactions, n_users: int, n_items: int, *, last: int, decay: float) -> csr_array:
    """Return decay^age of each user's `last` newest moments, divided among their items: float64 (n_users, n_items)."""
    moment_mi, user_m = moments(rows, n_items)
    end = np.searchsorted(user_m, user_m, side="right")
    age_m = end - 1 - np.arange(len(user_m))
    (kept,) = np.nonzero(age_m < last)
    weight_um = coo_array((float(decay) ** age_m[kept], (user_m[kept], kept)), shape=(n_users, len(user_m)))
    return (weight_um.tocsr() @ moment_mi).tocsr()


def moments(rows: Interactions, n_items: int) -> tuple[csr_array, NDArray[np.int32]]:
    """Return the items of each moment, float64 (n_moments, n_items) with row sums of 1, and the user of each moment."""
    moment, first, n_m = np.unique(rows.time_group, return_index=True, return_counts=True)
    start = np.append(first, len(rows))
    return csr_array((np.repeat(1 / n_m, n_m), rows.item, start), shape=(len(moment), n_items)), rows.user[first]
