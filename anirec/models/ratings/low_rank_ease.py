"""Low-rank EASE: a linear item-item model for large catalogues, in closed form."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import popularity_tie_break
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, HistoryScorer, MemoryBased, exchange_rows
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.kernels.dense import one_blas_thread
from anirec.models.ratings.kernels.sparse_dense import multiply
from anirec.models.ratings.kernels.sparse_rows import SparseRows, sum_columns
from anirec.settings import NonNegative, Positive, PositiveInt

ITERATIONS = 8  # of the subspace; more change no list
EXTRA = 32  # columns of the subspace beyond n_factors, for faster convergence
ROUNDING = 1e-7  # smallest eigenvalue, relative to the largest, that is not rounding
SEED = 0  # of the initial subspace; the result hardly depends on it


class LowRankEASE(HistoryScorer, MemoryBased):
    """Rank items by X B, where B is that of EASE for a Gram matrix of low rank plus a diagonal.

    EASE inverts X'X + reg I, where X is the user-item matrix of preferences (see `Baseline.preferences`). Here X'X is
    replaced by V S² V' + D: V and S are the largest `n_factors` singular values and vectors of X, and the diagonal D is
    what they leave of the diagonal of X'X, as in factor analysis. The inverse of V S² V' + D + reg I is
    C - W W', with a diagonal C and W of shape (n_items, n_factors), by the Woodbury identity. Hence B_ij =
    w_i · w_j / (c_j - |w_j|²) with a zero diagonal. Memory is n_items x n_factors instead of n_items², and time grows
    with interactions x n_factors, without a term of n_items² or n_items³. Predicted ratings come from the bias model.

    Args:
        n_factors: Rank of the matrix; >= 1 and less than the numbers of items and users. Quality grows with it.
        reg: L2 penalty on B, in units of interactions; > 0.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    References:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.
        Vančura et al., Scalable Linear Shallow Autoencoder for Collaborative Filtering (ELSA), RecSys 2022: a product
        of factors with a zero diagonal, there learned by gradient descent.
        Halko, Martinsson & Tropp, Finding Structure with Randomness, SIAM Review 53, 2011, algorithm 4.4.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    uses_unrated: ClassVar[bool] = True
    uses_seed: ClassVar[bool] = False
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = 24  # preferences by user and by item
    weight_if: Tensor
    scale_i: Tensor
    count_i: Tensor

    def __init__(
        self, *, n_factors: PositiveInt, reg: Positive, damping_user: NonNegative, damping_item: NonNegative
    ) -> None:
        super().__init__()
        self.n_factors, self.reg = n_factors, reg
        self.damping_user = damping_user
        self.damping_item = damping_item

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: tables of users and items by factors, and products with the sparse matrix."""
        width = self.n_factors + EXTRA
        table = 4 * width * (counts.n_users + 3 * counts.n_items)
        operations = ITERATIONS * width * (2 * counts.n_rows + 2 * width * counts.n_items) / 2
        return super().cost(counts) + Cost(table, 0, operations)

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("weight_if", torch.zeros(self.n_items, min(self.n_factors, self.n_items, self.n_users)))
        self.register_buffer("scale_i", torch.zeros(self.n_items))
        self.register_buffer("count_i", torch.zeros(self.n_items))

    def solve(self) -> None:
        history = self.history
        self.baseline.fit(history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(history.item, minlength=self.n_items).float()
        columns = history.indptr, history.item, self.baseline.preferences_of(history)
        by_user = SparseRows(*(column.cpu().numpy() for column in columns))
        with one_blas_thread():
            square_f, v_if = self.largest_factors(by_user)
            square_i = sum_columns(by_user.column, by_user.value, self.n_items, 2)
            left_i = np.maximum(square_i - np.square(v_if) @ square_f, 0) + self.reg  # D + reg
            inner_ff = np.linalg.inv(np.diag(1 / square_f) + (v_if / left_i[:, None]).T @ v_if)
            weight_if = v_if / left_i[:, None] @ np.linalg.cholesky((inner_ff + inner_ff.T) / 2)
        scale_i = 1 / (1 / left_i - np.square(weight_if).sum(axis=1))
        self.weight_if[:, : weight_if.shape[1]] = torch.from_numpy(weight_if)
        self.scale_i.copy_(torch.from_numpy(scale_i))

    def largest_factors(self, by_user: SparseRows) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the squares of the largest singular values of X, float64 (F,), and their vectors, (n_items, F)."""
        by_item, n_factors = by_user.transpose(self.n_items), self.weight_if.shape[1]
        width = min(n_factors + EXTRA, self.n_items)
        basis_if = np.random.default_rng(SEED).standard_normal((self.n_items, width), np.float32)
        for _ in range(ITERATIONS):
            basis_if = np.linalg.qr(self.product(by_item, self.product(by_user, basis_if)))[0]
        image_if = self.product(by_item, self.product(by_user, basis_if))
        values_f, rotation_ff = np.linalg.eigh(basis_if.T.astype(np.float64) @ image_if)
        values_f, rotation_ff = values_f[-n_factors:], rotation_ff[:, -n_factors:]
        is_used = values_f > ROUNDING * values_f[-1]  # X has a lower rank than n_factors
        return values_f[is_used], basis_if @ rotation_ff[:, is_used]

    def product(self, rows: SparseRows, table_jf: NDArray[Any]) -> NDArray[Any]:
        """Return a sparse matrix times a table, float32 (n, F); each process computes a share of the rows."""
        bounds, first, last = self.share_of_work(np.diff(rows.start))
        out_nf = np.empty((len(rows.start) - 1, table_jf.shape[1]), np.float32)
        out_nf[first:last] = multiply(rows, table_jf, first, last)
        exchange_rows(torch.from_numpy(out_nf), bounds, self.device)
        return out_nf

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_history(self, history: History, users: Tensor) -> Tensor:
        rows, bounds = history.rows_of(users)
        preference = self.baseline.preferences(rows, len(users))
        taste_bf = embedding_bag(rows.item, self.weight_if, bounds[:-1], mode="sum", per_sample_weights=preference)
        scores_bi = taste_bf @ self.weight_if.T
        scores_bi[rows.user, rows.item] -= preference * self.weight_if[rows.item].square().sum(1)
        return scores_bi * self.scale_i + popularity_tie_break(self.count_i)
