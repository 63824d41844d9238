"""Any algorithm of scikit-surprise, named in YAML: the reference that our own models are measured against."""

import math
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import torch
from surprise import AlgoBase, PredictionImpossible, Trainset
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.models.one_pass import MemoryBased

UNKNOWN = "unknown"  # an id that no training set holds


class SurpriseModel(MemoryBased, RatingModel):
    """Fit on all training ratings at once, predict row by row in Python, as the library does.

    The checkpoint holds the training ratings and the seed, and no pickled object: a loaded model fits again when it is
    first asked. Ranking the whole catalogue by predicted ratings works, and takes minutes where ours takes seconds.

    Args:
        algorithm: An unfitted algorithm of the library. One without a `random_state` of its own gets the run's seed.
    """

    replicates: ClassVar[frozenset[str]] = frozenset({"random_state"})
    seed: Tensor

    def __init__(self, *, algorithm: AlgoBase) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.has_own_seed = getattr(algorithm, "random_state", None) is not None
        self.fitted_to: tuple[Tensor, Tensor] | None = None

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    def solve(self) -> None:
        self.seed.fill_(torch.initial_seed() % 2**32)
        self.fit()

    def fit(self) -> None:
        """Fit unless it is fitted to this very history already."""
        history = self.history
        if self.fitted_to and all(map(torch.equal, self.fitted_to, (history.item, history.rating))):
            return
        if not self.has_own_seed:
            self.algorithm.random_state = int(self.seed)
        try:
            self.algorithm.fit(self.trainset())
        except ValueError as error:
            raise UserError(f"model.algorithm: {error}") from error
        self.fitted_to = (history.item.clone(), history.rating.clone())

    def trainset(self) -> Trainset:
        """Surprise's own form of the training ratings. It numbers the users and items that have any from 0 on.

        One without ratings would break some algorithms (NMF divides by their number), and others would take it for
        known, since merely asking for its ratings enters it.
        """
        history = self.history
        users, user = np.unique(history.user().cpu(), return_inverse=True)
        items, item = np.unique(history.item.cpu(), return_inverse=True)
        of_user, of_item = defaultdict(list), defaultdict(list)
        for u, i, rating in zip(user.tolist(), item.tolist(), history.rating.tolist(), strict=True):
            of_user[u].append((i, rating))
            of_item[i].append((u, rating))
        scale = (float(history.rating.min()), float(history.rating.max()))
        self.inner_user, self.inner_item = (
            {index: inner for inner, index in enumerate(seen.tolist())} for seen in (users, items)
        )
        return Trainset(of_user, of_item, len(users), len(items), len(user), scale, self.inner_user, self.inner_item)

    def forward(self, batch: RatingBatch) -> Tensor:
        self.fit()
        rows = zip(batch.user.tolist(), batch.item.tolist(), strict=True)
        ratings = np.array([self.estimate(user, item) for user, item in rows], dtype=np.float32)
        return torch.from_numpy(ratings).to(batch.user.device)

    def estimate(self, user: int, item: int) -> float:
        """What `AlgoBase.predict` gives, without its tuples: clipped, and the mean where nothing can be said."""
        trainset: Any = self.algorithm.trainset
        known = self.inner_user.get(user, UNKNOWN), self.inner_item.get(item, UNKNOWN)
        try:
            estimate = self.algorithm.estimate(*known)
        except PredictionImpossible:
            return trainset.global_mean
        rating = estimate[0] if isinstance(estimate, tuple) else estimate
        lowest, highest = trainset.rating_scale
        return trainset.global_mean if math.isnan(rating) else min(highest, max(lowest, rating))
