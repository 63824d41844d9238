"""Transitions: what people go on to after what they have just seen. The simplest model that looks at the order."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from anirec.data.datamodule import RatingData
from anirec.data.interactions import Interactions, RatingBatch
from anirec.models.base import POPULARITY, RatingModel
from anirec.models.bias import Baseline
from anirec.models.one_pass import MemoryBased
from anirec.settings import NonNegative, PositiveInt


class Transitions(MemoryBased, RatingModel):
    """Rank by a first-order Markov chain over items (Rendle, Freudenthaler & Schmidt-Thieme 2010, without factors).

    Σ_a decay^a P(i | the user's item of age a), over the newest `last` training items; the newest has age 0. P is
    n(j, i) / (Σ_i n(j, i) + shrinkage), where n adds up `gap_decay`^(gap - 1) for every user who came to i `gap` items
    after j, up to `window`. Ratings are those of the bias model.

    Args:
        window: How far apart two items of a user may be; 1 is first order.
        gap_decay: Weight of a pair over that of one a step closer; 0 to 1.
        shrinkage: Imaginary transitions from each item to nowhere; >= 0.
        last: How many of the user's newest items count; >= 1.
        decay: Weight of an item over that of the next newer one; 0 to 1.
        damping_user: Of the bias model; >= 0.
        damping_item: Likewise for items.

    Raises:
        UserError: If a number is out of its range; if no row has a time.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "rating", "timestamp"})
    uses_unrated: ClassVar[bool] = True
    count_i: Tensor
    start: Tensor
    following: Tensor
    probability: Tensor

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

    def training_rows(self, data: RatingData) -> Interactions:
        return super().training_rows(data).in_order_of_time()

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        for name in ("count_i", "start", "following", "probability"):
            self.register_buffer(name, torch.empty(0))

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        user, item = self.history.user().cpu().numpy(), self.history.item.cpu().numpy()
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        counts = transition_counts(user, item, self.n_items, window=self.window, decay=self.gap_decay)
        left = np.repeat(counts.sum(axis=1) + self.shrinkage, np.diff(counts.indptr))
        parts = (counts.indptr.astype(np.int64), counts.indices.astype(np.int32), (counts.data / left).astype("f4"))
        self.start, self.following, self.probability = (torch.from_numpy(part).to(self.device) for part in parts)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        parts = (self.probability, self.following, self.start)
        probability_ii = csr_array(tuple(part.cpu().numpy() for part in parts), shape=(self.n_items, self.n_items))
        scores_bi = torch.from_numpy((self.newest(users) @ probability_ii).toarray()).to(users.device)
        return scores_bi + POPULARITY * self.count_i / self.count_i.max()

    def newest(self, users: Tensor) -> csr_array:
        """(B, n_items): decay^age of each user's `last` newest items, 0 elsewhere."""
        item, first = (tensor.cpu().numpy() for tensor in self.history.of(users))
        count = np.diff(first, append=len(item))
        row = np.repeat(np.arange(len(users)), count)
        age = np.repeat(first + count, count) - 1 - np.arange(len(item))
        kept = age < self.last
        weight = np.float32(self.decay) ** age[kept].astype(np.float32)
        return csr_array((weight, (row[kept], item[kept])), shape=(len(users), self.n_items))


def transition_counts(
    user: NDArray[np.int64], item: NDArray[np.int32], n_items: int, *, window: PositiveInt, decay: float
) -> csr_array:
    """(n_items, n_items) float64: how often the column's item came after the row's, by one user, decayed by the gap.

    `user` and `item`, both (n,), are sorted by user and then by time.

    >>> user, item = np.array([0, 0, 0, 1]), np.array([2, 0, 1, 2], dtype=np.int32)
    >>> transition_counts(user, item, 3, window=2, decay=0.5).toarray()
    array([[0. , 1. , 0. ],
           [0. , 0. , 0. ],
           [1. , 0.5, 0. ]])
    """
    counts = csr_array((n_items, n_items), dtype=np.float64)
    for gap in range(1, window + 1):
        is_pair = user[gap:] == user[:-gap]
        before, after = item[:-gap][is_pair], item[gap:][is_pair]
        weight = np.full(len(before), decay ** (gap - 1))
        counts += coo_array((weight, (before, after)), shape=(n_items, n_items)).tocsr()
    return counts
