"""RP3beta: a random walk of three steps over users and items, for ranking."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from anirec.models.cost import Cost, Counts
from anirec.models.ratings.item_item import ItemItem
from anirec.settings import NonNegative, Positive

PAIR = 4  # operations on each pair of ratings of a user


class RP3beta(ItemItem):
    """Rank items by the probability that a random walk of three steps ends at them, divided by popularity^beta.

    The walk goes from a user to an item of the user's history, to another user of that item, and to an item of that
    user. The probabilities of the last two steps are raised to alpha. The edge of user u and item i weighs
    x_ui = max(preference, 0) (see `Baseline.preferences`), and d are the sums of the edges of a user or an item. The
    weight of item j for item i is then W_ji = Σ_u (x_uj / d_j)^alpha (x_ui / d_u)^alpha / d_i^beta. The first step
    gives each item of the history its preference, so that a dislike counts against what the walk from it reaches. All
    weights are divided by the largest, which changes no order.

    Args:
        alpha: Exponent of the probabilities; > 0. Below 1, unlikely steps count more.
        beta: Exponent of the popularity that divides the scores; 0: none, more ranks rarer titles higher.
        **settings: Arguments of `ItemItem`.

    References:
        Paudel, Christoffel, Newell & Bernstein, Updatable, Accurate, Diverse, and Scalable Recommendations for
        Interactive Applications, ACM TiiS 7(1), 2017.
    """

    instead: ClassVar[str] = "a smaller model.keep"

    def __init__(self, *, alpha: Positive, beta: NonNegative, **settings: Any) -> None:
        super().__init__(**settings)
        self.alpha, self.beta = alpha, beta

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: operations on pairs of ratings, each visited from both sides."""
        return super().cost(counts) + Cost(operations=PAIR * counts.n_pairs)

    def solve(self) -> None:
        super().solve()
        self.weight_ik /= self.weight_ik.max().clamp(min=torch.finfo(torch.float32).tiny)

    def weigh(self, by_user: Any, neighbour_ik: NDArray[np.int32], weight_ik: NDArray[np.float32]) -> list[int]:
        from anirec.models.ratings.kernels.item_pairs import entries_beside, occurrences
        from anirec.models.ratings.kernels.sparse_rows import sum_columns
        from anirec.models.ratings.kernels.walks import walk

        edge = by_user.value.clip(min=0)
        degree_i = sum_columns(by_user.column, edge, self.n_items, 1)
        user = np.repeat(np.arange(len(by_user.start) - 1), np.diff(by_user.start))
        degree_u = np.bincount(user, edge, minlength=len(by_user.start) - 1)
        with np.errstate(divide="ignore", invalid="ignore"):  # items and users without an edge, which no walk reaches
            value = edge**self.alpha / np.sqrt(degree_u[user] ** self.alpha)
            from_j, to_i = degree_i**-self.alpha, degree_i**-self.beta
        by_user = by_user._replace(value=np.where(edge > 0, value, 0).astype(np.float32))
        of_item = occurrences(by_user, self.n_items)
        bounds, first, last = self.share_of_work(entries_beside(by_user, of_item))
        walk(first, last, by_user, of_item, from_j, to_i, neighbour_ik, weight_ik)
        return bounds
