"""SLIM: a sparse linear item-item model for ranking, by coordinate descent."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anirec.models.cost import Cost, Counts
from anirec.models.ratings.item_item import ItemItem, lower_gram
from anirec.settings import NonNegative, Positive

PAIR = 10  # operations that a product of two preferences takes, compared with one in the descent
UPDATES = 500  # of the gradient of all items, for each item: the weights that change, in all rounds
SQUARES = 2  # matrices of items: the Gram matrix, and its rows that a thread's weights need, at most


class SLIM(ItemItem):
    """Rank items by X W, where W minimises |X - X W|² / 2 + l2 |W|² / 2 + l1 |W|₁ with W >= 0 and a zero diagonal.

    X is the user-item matrix of preferences (see `Baseline.preferences`). Each column is an elastic net of its own,
    fitted by coordinate descent on the Gram matrix X'X, in time that does not depend on the number of users. Most
    weights are zero. Memory grows with the square of the number of items, as EASE's does. Of more than `keep` weights
    of an item, the largest are stored.

    Args:
        l1: Penalty on the sum of the weights, in units of interactions; > 0. More: fewer weights.
        l2: Penalty on their squares, in units of interactions; >= 0.
        **settings: Arguments of `ItemItem`.

    References:
        Ning & Karypis, SLIM: Sparse Linear Methods for Top-N Recommender Systems, ICDM 2011.
        Friedman, Hastie & Tibshirani, Regularization Paths for Generalized Linear Models via Coordinate Descent,
        Journal of Statistical Software 33(1), 2010, section 2.2 (updates by the Gram matrix).
    """

    instead: ClassVar[str] = "model=low_rank_ease or model=rp3beta"
    operations_per_second: ClassVar[float] = 5e9

    def __init__(self, *, l1: Positive, l2: NonNegative, **settings: Any) -> None:
        super().__init__(**settings)
        self.l1, self.l2 = l1, l2

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: memory and time grow with the square of the number of items."""
        square = counts.n_items**2
        operations = PAIR * counts.n_pairs / 2 + UPDATES * square
        return super().cost(counts) + Cost(memory=4 * SQUARES * square, operations=operations)

    def weigh(self, by_user: Any, neighbour_ik: NDArray[np.int32], weight_ik: NDArray[np.float32]) -> list[int]:
        from anirec.models.ratings.kernels.elastic_net import fit_columns, mirror

        gram_ij = lower_gram(self, by_user).numpy()
        mirror(gram_ij)
        bounds, first, last = self.share_of_work(np.ones(self.n_items))
        fit_columns(first, last, gram_ij, self.l1, self.l2, neighbour_ik, weight_ik)
        return bounds
