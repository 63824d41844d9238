"""Adapter for the algorithms of the library implicit, named in YAML; references for the ranking models here."""

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.errors import UserError
from anirec.models.base import RatingModel, popularity_tie_break
from anirec.models.checkpoint import check_indices, check_rows, check_shape
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import History, MemoryBased
from anirec.models.ratings.bias import Baseline
from anirec.settings import NonNegative

ENTRY = 12  # bytes of an entry of a sparse matrix
COPIES = 3  # of the training matrix, which implicit weighs and transposes
STEPS = 8  # products with a row of factors, of each interaction in each iteration
EXTRA = 2  # columns of the factors for the offsets of some algorithms
FACTORS = ("user_factors", "item_factors")
SIMILARITY = ("similarity_start", "similarity_item", "similarity_value")


class ImplicitModel(MemoryBased, RatingModel):
    """Fit an algorithm of implicit to all training interactions, and rank by its scores.

    The entries of the matrix are preferences (see `Baseline.preferences`): about 1 for most interactions. Dislikes are
    negative. Alternating least squares reads them as such; other algorithms train without them. Item-item algorithms
    also count them against similar items in scores. Predicted ratings come from the bias model.

    The checkpoint holds factors or similarities as tensors, but no pickled object. Alternating least squares and
    item-item algorithms also rank for new users. Gradient algorithms run in one thread, since in several their
    results are not repeatable.

    Args:
        algorithm: An unfitted algorithm of implicit, on the CPU. If its `random_state` is None, it gets the run's seed.
        damping_user: Damping of the bias model's user offsets; see `Bias`.
        damping_item: Damping of the bias model's item offsets; see `Bias`.

    Raises:
        UserError: The algorithm has no factors or similarities on the CPU, or rejects its settings or the data.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id"})
    replicates: ClassVar[frozenset[str]] = frozenset({"random_state"})
    uses_unrated: ClassVar[bool] = True
    ranks_by_rating = False
    rates_by_bias = True
    bytes_per_row: ClassVar[int] = ENTRY * COPIES
    instead: ClassVar[str] = "model=als or model=item_knn"
    count_i: Tensor
    user_factors: Tensor
    item_factors: Tensor

    def __init__(self, *, algorithm: Any, damping_user: NonNegative, damping_item: NonNegative) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.damping_user = damping_user
        self.damping_item = damping_item
        self.is_item_item = hasattr(algorithm, "similarity")
        self.is_als = hasattr(algorithm, "recalculate_user") and hasattr(algorithm, "YtY")
        if not self.is_item_item and not (
            hasattr(algorithm, "factors") and "implicit.cpu" in type(algorithm).__module__
        ):
            raise UserError(
                f"model.algorithm: {type(algorithm).__name__} has neither similarities nor factors on the CPU. Use "
                "another algorithm of implicit, or use_gpu=false."
            )
        if self.is_item_item or self.is_als:
            # Set on the instance, so that isinstance(model, SupportsFoldIn) depends on the algorithm.
            self.fold_in = self.fold_in_histories

    @property
    def width(self) -> int:
        """Number of neighbours per item, or length of the factors."""
        return int(self.algorithm.K if self.is_item_item else self.algorithm.factors)

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: similarities of items, or factors of users and items."""
        algorithm, both = self.algorithm, counts.n_users + counts.n_items
        if self.is_item_item:
            size = float(ENTRY * counts.n_items * min(self.width, counts.n_items) + 8 * counts.n_rows)
            operations = counts.n_pairs
        else:
            size = 4.0 * both * (self.width + (0 if self.is_als else EXTRA))
            operations = algorithm.iterations * (STEPS * counts.n_rows * self.width + both * self.width**2)
        return super().cost(counts) + Cost(2 * size, size, operations)

    def allocate(self) -> None:
        super().allocate()
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("count_i", torch.zeros(self.n_items))
        for name, n in zip(FACTORS, (self.n_users, self.n_items), strict=True):
            self.register_buffer(name, torch.empty(0) if self.is_item_item else torch.empty(n, 0))
        for name in SIMILARITY:
            self.register_buffer(name, torch.empty(0))

    def check_tensors(self, n_items: int) -> None:
        if self.is_item_item:
            start, item, value = (self.get_buffer(name) for name in SIMILARITY)
            check_rows(SIMILARITY[0], start, item, value)
            check_shape(SIMILARITY[0], start, start.new_empty(n_items + 1))
            check_indices(SIMILARITY[1], item, n_items)
        else:
            check_shape("user_factors", self.user_factors[:1], self.item_factors[:1])

    def solve(self) -> None:
        self.baseline.fit(self.history, self.damping_user, self.damping_item)
        self.count_i = torch.bincount(self.history.item, minlength=self.n_items).float()
        rows, _ = self.history.rows_of(torch.arange(self.n_users, device=self.device))
        self.fit(self.matrix(rows, self.n_users, with_dislikes=self.is_als))
        if self.is_item_item:
            similarity = self.algorithm.similarity.tocsr()
            parts = {"start": similarity.indptr, "item": similarity.indices, "value": similarity.data}
            for name, part in parts.items():
                setattr(self, f"similarity_{name}", torch.from_numpy(part.astype(self.type_of(name))).to(self.device))
        else:
            for name in FACTORS:
                factors = np.ascontiguousarray(getattr(self.algorithm, name), np.float32)
                setattr(self, name, torch.from_numpy(factors.copy()).to(self.device))
            self.history = History(self.n_users)  # no longer needed, so that the checkpoint stays small

    @staticmethod
    def type_of(part: str) -> type:
        return {"start": np.int64, "item": np.int32, "value": np.float32}[part]

    def fit(self, matrix: csr_matrix) -> None:
        """Fit the algorithm, in as many threads as give repeatable results, and with the seed of the run."""
        from anirec.models.ratings.kernels.dense import one_blas_thread

        algorithm, own_seed = self.algorithm, getattr(self.algorithm, "random_state", None)
        if own_seed is None:
            algorithm.random_state = int(torch.initial_seed() % 2**31)
        algorithm.num_threads = torch.get_num_threads() if self.is_item_item or self.is_als else 1
        try:
            with one_blas_thread(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the layout of a matrix that implicit transposes itself
                algorithm.fit(matrix, show_progress=False)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise UserError(f"model.algorithm: {error}") from error
        finally:
            algorithm.random_state = own_seed

    def matrix(self, rows: RatingBatch, n: int, *, with_dislikes: bool) -> csr_matrix:
        """Return the preferences of users 0 to n - 1, float32 (n, n_items)."""
        user, item = rows.user.cpu().numpy(), rows.item.cpu().numpy()
        value = self.baseline.preferences(rows, n).cpu().numpy()
        used = (value != 0) if with_dislikes else (value > 0)
        return csr_matrix((value[used], (user[used], item[used])), shape=(n, self.n_items), dtype=np.float32)

    def forward(self, batch: RatingBatch) -> Tensor:
        return self.baseline(batch.user, batch.item)

    def score_items(self, users: Tensor) -> Tensor:
        if self.is_item_item:
            return self.similar_to(self.history, users)
        factors_bf = self.user_factors[users.clamp(min=0)] * (users >= 0)[:, None]
        return self.match(factors_bf)

    def fold_in_histories(self, batch: RatingBatch, n: int) -> Tensor:
        """Return the scores of new users; see `SupportsFoldIn`. The factors of new users are computed by implicit."""
        history, users = History.of_new_users(batch, n), torch.arange(n, device=batch.user.device)
        if self.is_item_item:
            return self.similar_to(history, users)
        rows, _ = history.rows_of(users)
        factors = self.item_factors.cpu().numpy()
        if self.algorithm.item_factors is None or not np.array_equal(self.algorithm.item_factors, factors):
            self.algorithm.item_factors, self.algorithm._YtY = factors, None  # of a checkpoint
        factors_bf = self.algorithm.recalculate_user(np.arange(n), self.matrix(rows, n, with_dislikes=True))
        return self.match(torch.from_numpy(factors_bf).to(users.device))

    def match(self, factors_bf: Tensor) -> Tensor:
        return factors_bf @ self.item_factors.T + popularity_tie_break(self.count_i)

    def similar_to(self, history: History, users: Tensor) -> Tensor:
        """Return the sums of the similarities to the items of the users (B,) of a history, (B, n_items)."""
        rows, _ = history.rows_of(users)
        parts = (self.get_buffer(f"similarity_{name}").cpu().numpy() for name in ("value", "item", "start"))
        similarity = csr_matrix(tuple(parts), shape=(self.n_items, self.n_items))
        scores = (self.matrix(rows, len(users), with_dislikes=True) @ similarity).toarray()
        return torch.from_numpy(scores).to(users.device) + popularity_tie_break(self.count_i)
