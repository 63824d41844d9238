"""Adapter for scikit-surprise algorithms, named in YAML; references for the models of this package."""

import math
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import torch
from surprise import AlgoBase, PredictionImpossible, SlopeOne, SVDpp, Trainset
from surprise.prediction_algorithms.knns import SymmetricAlgo
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.models.cost import SKEW, Cost, Counts
from anirec.models.one_pass import MemoryBased

SQUARES = 5  # matrices of items x items (or users x users) that Surprise holds, 8 bytes a pair
# Operations at a billion per second:
PER_ROW = 5000  # Python objects of a training row
PER_PAIR = 100  # a pair of ratings, which are tuples in a list, in similarities
PER_FACTOR = 5  # a factor of a rating in an epoch
UNKNOWN = "unknown"  # inner id that is in no training set


class SurpriseModel(MemoryBased, RatingModel):
    """Fit a scikit-surprise algorithm to all training ratings and predict row by row in Python, as Surprise does.

    The checkpoint holds the training ratings and the seed but no pickled object; a loaded model is fitted again before
    its first prediction. Ranking the whole catalogue by predicted ratings takes minutes.

    Args:
        algorithm: An unfitted algorithm of scikit-surprise. If its `random_state` is None or absent, it gets the run's
            seed.

    Raises:
        UserError: The algorithm rejects its settings or the data.
    """

    replicates: ClassVar[frozenset[str]] = frozenset({"random_state"})
    constraints = "anirec.models.constraints:check_surprise"
    bytes_per_row: ClassVar[int] = 360  # two lists of tuples with numbers, and the history
    instead: ClassVar[str] = "model=item_knn, model=svd or model=svdpp"
    operations_per_second: ClassVar[float] = 1e9
    seed: Tensor

    def __init__(self, *, algorithm: AlgoBase) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.has_own_seed = getattr(algorithm, "random_state", None) is not None
        self.fitted_to: tuple[Tensor, Tensor] | None = None

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: Python objects per rating; similarities of all pairs, or factors."""
        algorithm, operations, memory = self.algorithm, PER_ROW * counts.n_rows, 0.0
        if isinstance(algorithm, SymmetricAlgo | SlopeOne):
            by_user = isinstance(algorithm, SymmetricAlgo) and algorithm.sim_options["user_based"]
            side, other = (counts.n_users, counts.n_items) if by_user else (counts.n_items, counts.n_users)
            memory = 8 * SQUARES * side**2
            operations += PER_PAIR * int(SKEW * counts.n_rows**2 / max(1, other))
        n_factors, n_epochs = getattr(algorithm, "n_factors", 0), getattr(algorithm, "n_epochs", 0)
        per_epoch = counts.n_pairs if isinstance(algorithm, SVDpp) else counts.n_rows
        operations += PER_FACTOR * int(n_epochs * n_factors * per_epoch)
        memory += 8 * n_factors * (counts.n_users + 2 * counts.n_items)
        return super().cost(counts) + Cost(memory, 8 * counts.n_rows, operations)

    def allocate(self) -> None:
        super().allocate()
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    def solve(self) -> None:
        self.seed.fill_(torch.initial_seed() % 2**32)
        self.fit()

    def fit(self) -> None:
        """Fit the algorithm, unless it has already been fitted to the same ratings."""
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
        """Return the training ratings as a Surprise Trainset, whose inner ids cover only users and items with ratings.

        Ids without ratings would break some algorithms (NMF divides by the number of ratings), and a lookup in the
        default dictionaries would make them known.
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
        """Return what `AlgoBase.predict` does: the clipped estimate, or the global mean if there is none."""
        trainset: Any = self.algorithm.trainset
        known = self.inner_user.get(user, UNKNOWN), self.inner_item.get(item, UNKNOWN)
        try:
            estimate = self.algorithm.estimate(*known)
        except PredictionImpossible:
            return trainset.global_mean
        rating = estimate[0] if isinstance(estimate, tuple) else estimate
        lowest, highest = trainset.rating_scale
        return trainset.global_mean if math.isnan(rating) else min(highest, max(lowest, rating))
