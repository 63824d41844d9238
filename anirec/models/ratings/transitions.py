"""Transitions: what people go on to after what they have just seen. The simplest model that looks at the order."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.models.base import POPULARITY, RatingModel
from anirec.models.one_pass import History, MemoryBased
from anirec.models.ratings.bias import Baseline
from anirec.settings import NonNegative, PositiveInt

# Two sparse matrices in buffers: what comes next, by item; and the newest items, by user.
PARTS = [f"{matrix}_{part}" for matrix in ("next", "newest") for part in ("start", "item", "weight")]


class Transitions(MemoryBased, RatingModel):
    """Rank by a first-order Markov chain over items (Rendle, Freudenthaler & Schmidt-Thieme 2010, without factors).

    A user's training items are ordered by moments: all items of one time belong to one moment, and have no order among
    them. Items of unknown time have none at all, and count for ratings and popularity only.

    Scores are Σ_a decay^a mean_j P(i | j), j in the user's moment of age a, over the `last` newest moments; the newest
    has age 0. P is n(j, i) / (Σ_i n(j, i) + shrinkage), where every two moments of a user that are `gap` apart, up to
    `window`, add `gap_decay`^(gap - 1), shared equally by their pairs (j, i): each order of tied items is as likely as
    any other. Ratings are those of the bias model.

    Args:
        window: How many moments of a user apart two items may be; 1 is first order.
        gap_decay: Weight of a pair over that of one a step closer; 0 to 1.
        shrinkage: Imaginary transitions from each item to nowhere; >= 0.
        last: How many of the user's newest moments count; >= 1.
        decay: Weight of a moment over that of the next newer one; 0 to 1.
        damping_user: Of the bias model; >= 0.
        damping_item: Likewise for items.

    Raises:
        UserError: If a number is out of its range; if no row has a time.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "rating", "timestamp"})
    uses_unrated: ClassVar[bool] = True
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

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        for name in ("count_i", *PARTS):
            self.register_buffer(name, torch.empty(0))

    def on_train_start(self) -> None:
        self.ordered()  # data without times are refused before any work

    def ordered(self) -> Interactions:
        return self.training_rows(self.data).sort_by_time()

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        self.history = History(self.n_users)  # what follows says all; a checkpoint need not carry the interactions
        rows = self.ordered()
        counts = transition_counts(rows, self.n_items, window=self.window, decay=self.gap_decay)
        left = np.repeat(counts.sum(axis=1) + self.shrinkage, np.diff(counts.indptr))
        counts.data /= left
        newest = newest_items(rows, self.n_users + 1, self.n_items, last=self.last, decay=self.decay)
        for prefix, matrix in (("next", counts), ("newest", newest)):
            parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))
            for name, part in zip(("start", "item", "weight"), parts, strict=True):
                setattr(self, f"{prefix}_{name}", torch.from_numpy(part).to(self.device))

    def matrix(self, prefix: str, n_rows: int) -> csr_array:
        """(n_rows, n_items): of the buffers with that prefix."""
        parts = (self.get_buffer(f"{prefix}_{name}").cpu().numpy() for name in ("weight", "item", "start"))
        return csr_array(tuple(parts), shape=(n_rows, self.n_items))

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        # User -1 is the last row, which is empty.
        newest_bi = self.matrix("newest", self.n_users + 1)[(users % (self.n_users + 1)).cpu().numpy()]
        scores_bi = torch.from_numpy((newest_bi @ self.matrix("next", self.n_items)).toarray()).to(users.device)
        return scores_bi + POPULARITY * self.count_i / self.count_i.max()

    def provenance(self) -> dict[str, Any]:
        return {"order": self.known_order}

    @cached_property
    def known_order(self) -> dict[str, int]:
        """How many training rows there are, how many of unknown time, and how many that share one with others."""
        rows, ordered = self.training_rows(self.data), self.ordered()
        n_tied = int((np.bincount(ordered.time_group)[ordered.time_group] > 1).sum())
        return {"n_rows": len(rows), "n_unknown_time": len(rows) - len(ordered), "n_tied": n_tied}

    @property
    def findings(self) -> list[str]:
        n_rows, n_unknown_time, n_tied = self.known_order.values()
        if not n_unknown_time and not n_tied:
            return []
        return [
            f"Of {n_rows:,} training rows, {n_unknown_time:,} have no time and are part of no transition; {n_tied:,} "
            "have the time of another row of the same user, and no order among these counts."
        ]


def transition_counts(rows: Interactions, n_items: int, *, window: int, decay: float) -> csr_array:
    """(n_items, n_items) float64: how often the column's item came after the row's, by one user, decayed by the gap.

    Args:
        rows: In order of time.
        window: The largest gap, in moments.
        decay: Weight of a gap over that of a smaller one.

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
    """(n_users, n_items) float64: decay^age of each user's `last` newest moments, shared by their items."""
    moment_mi, user_m = moments(rows, n_items)
    end = np.searchsorted(user_m, user_m, side="right")
    age_m = end - 1 - np.arange(len(user_m))
    (kept,) = np.nonzero(age_m < last)
    weight_um = coo_array((float(decay) ** age_m[kept], (user_m[kept], kept)), shape=(n_users, len(user_m)))
    return (weight_um.tocsr() @ moment_mi).tocsr()


def moments(rows: Interactions, n_items: int) -> tuple[csr_array, NDArray[np.int32]]:
    """The items of each moment, (M, n_items) float64 that sums to 1 in each row; and the moments' users, (M,)."""
    moment, first, n_m = np.unique(rows.time_group, return_index=True, return_counts=True)
    start = np.append(first, len(rows))
    return csr_array((np.repeat(1 / n_m, n_m), rows.item, start), shape=(len(moment), n_items)), rows.user[first]
