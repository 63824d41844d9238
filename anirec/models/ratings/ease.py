"""EASE: every item is a weighted sum of all others, in closed form. Hard to beat at ranking."""

from typing import ClassVar

import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel, popularity_tie_break
from anirec.models.one_pass import History, HistoryScorer
from anirec.models.ratings.bias import Baseline
from anirec.settings import NonNegative, Positive


class EASE(HistoryScorer, RatingModel):
    """Rank by X B, where B reconstructs each item's column of X from the others (Steck 2019, equation 8).

    X is users x items, 1 where the user has interacted. What B says of taste is no rating: ratings are those of the
    bias model. Memory and checkpoint grow with the square of the number of items: 400 MB for ten thousand.

    Args:
        reg: Penalty on the squared weights, in units of interactions; > 0, or the Gram matrix has no inverse. More for
            sparser data.
        damping_user: Of the bias model; >= 0.
        damping_item: Likewise for items.
    """

    uses_unrated: ClassVar[bool] = True
    weight_ij: Tensor
    count_i: Tensor

    def __init__(self, *, reg: Positive, damping_user: NonNegative, damping_item: NonNegative) -> None:
        super().__init__()
        self.reg = reg
        self.damping_user = damping_user
        self.damping_item = damping_item

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("weight_ij", torch.zeros(0, 0))
        self.register_buffer("count_i", torch.zeros(self.n_items))

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        gram_ij = self.gram()
        self.count_i = gram_ij.diagonal().clone()
        gram_ij.diagonal().add_(self.reg)
        inverse_ij = torch.cholesky_inverse(torch.linalg.cholesky(gram_ij)).contiguous()  # LAPACK: by columns
        self.weight_ij = inverse_ij.div_(-inverse_ij.diagonal().clone())
        self.weight_ij.fill_diagonal_(0)

    def gram(self) -> Tensor:
        """(n_items, n_items) float32: how many users two items share. Sparse: most users know few items."""
        history = self.history
        ones = torch.ones(len(history.item)).numpy()
        shape = (self.n_users + 1, self.n_items)
        x_ui = csr_array((ones, history.item.cpu().numpy(), history.indptr.cpu().numpy()), shape=shape)
        return torch.from_numpy((x_ui.T @ x_ui).toarray()).to(self.device)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_history(self, history: History, users: Tensor) -> Tensor:
        items, starts = history.items_of(users)
        return embedding_bag(items, self.weight_ij, starts, mode="sum") + popularity_tie_break(self.count_i)
