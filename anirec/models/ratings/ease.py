"""EASE: a linear item-item model for ranking, in closed form."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import RatingModel, popularity_tie_break
from anirec.models.one_pass import History, HistoryScorer
from anirec.models.ratings.bias import Baseline
from anirec.settings import NonNegative, Positive


class EASE(HistoryScorer, RatingModel):
    """Rank items by X B, where B minimises |X - X B|² + reg |B|² with a zero diagonal.

    X is the binary user-item matrix of interactions. Predicted ratings come from the bias model. Memory and checkpoint
    grow with the square of the number of items: 400 MB for ten thousand items.

    Args:
        reg: L2 penalty on B, in units of interactions; > 0. Sparser data need more.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    References:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.
    """

    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
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
        """Return the Gram matrix X'X: number of users that two items share, float32 (n_items, n_items)."""
        from scipy.sparse import csr_array

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
