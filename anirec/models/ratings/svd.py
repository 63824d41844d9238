"""SVD: matrix factorisation of ratings by stochastic gradient descent (Funk's method)."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch, deduplicate
from anirec.errors import UserError
from anirec.models.base import ManualOptimization, RatingModel
from anirec.models.cost import Cost, Counts
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.kernels import Factors, Rates, fit_new_user
from anirec.models.ratings.kernels.fused_sweep import fused_sweep
from anirec.models.ratings.kernels.grid import count_rated, groups_for, square_grid
from anirec.models.warm_start import WarmStart
from anirec.settings import NonNegative, Positive, PositiveInt

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

PREDICTED_AT_ONCE = 1 << 13  # rows
Sweep = Callable[..., None]  # of tables, rates, seed and part, in place


class SVD(ManualOptimization, RatingModel):
    """Predict ratings as mean + b_u + b_i + p_u · q_i, fitted by SGD on the regularised squared error.

    Minimises Σ (r_ui - r̂_ui)² + reg (|p_u|² + |q_i|²) + reg_bias (b_u² + b_i²) over the training ratings. Each epoch
    is one sweep over all ratings, in blocks of users x items. Blocks without a common user or item run at the same time
    in several threads. The order of the blocks and of the ratings in a block is random and depends only on the seed and
    the sweep number. The result is therefore equal for any number of threads and after resuming. On a CUDA device
    there are more and smaller blocks: the order differs from that on the CPU.

    Args:
        n_factors: Length of p_u and q_i; >= 1.
        epochs: Number of sweeps; >= 1.
        lr: Learning rate of the first sweep; > 0.
        lr_decay: Factor on the learning rate after each sweep; > 0; 1: constant.
        reg: L2 penalty on p_u and q_i, per rating; >= 0.
        reg_bias: L2 penalty on b_u and b_i, per rating; >= 0.
        init_std: Standard deviation of the initial factors; >= 0.

    Raises:
        UserError: The trainer does not support the settings, or the factors diverge.

    References:
        Funk, Netflix Update: Try This at Home, 2006.
        Koren, Bell & Volinsky, Matrix Factorization Techniques for Recommender Systems, IEEE Computer 42, 2009.
        Gemulla et al., Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent, KDD 2011.
    """

    version: ClassVar[int] = 1
    instead: ClassVar[str] = "a smaller model.n_factors"
    operations_per_factor: ClassVar[int] = 4  # of a rating in a sweep
    block_rows: ClassVar[int] = 1 << 20
    bytes_per_row: ClassVar[int] = 10  # a copy sorted by block, and the bounds
    user_factors: Tensor
    item_factors: Tensor
    seed: Tensor
    sweeps: Tensor

    def __init__(
        self,
        *,
        n_factors: PositiveInt,
        epochs: PositiveInt,
        lr: Positive,
        lr_decay: Positive,
        reg: NonNegative,
        reg_bias: NonNegative,
        init_std: NonNegative,
    ) -> None:
        super().__init__()
        self.n_factors = n_factors
        self.epochs = epochs
        self.lr, self.lr_decay = lr, lr_decay
        self.reg, self.reg_bias = reg, reg_bias
        self.init_std = init_std

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: factors of users and items; a sweep updates two vectors per rating."""
        operations = self.operations_per_factor * self.epochs * counts.n_rows * self.n_factors
        return super().cost(counts) + Cost(operations=operations)

    def allocate(self) -> None:
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("user_factors", torch.zeros(self.n_users + 1, self.n_factors))
        self.register_buffer("item_factors", torch.zeros(self.n_items + 1, self.n_factors))
        for name in ("seed", "sweeps"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))

    def batches(self, data: "RatingData", rank: int, world_size: int) -> range:  # type: ignore[override]
        """Return the numbers of the parts of a sweep; the rows stay where they are."""
        return range(max(1, -(-len(self.training_rows(data)) // self.block_rows)))

    def sweep_seed(self) -> tuple[int, int]:
        return int(self.seed), int(self.sweeps)

    def on_train_start(self) -> None:
        self.check_trainer()
        rows = self.training_rows(self.data)
        if self.sweeps == 0:
            self.seed.fill_(torch.initial_seed() % 2**63)
            self.initialise(rows)
        self.sweep = self.sweep_of(rows)

    def on_train_end(self) -> None:
        del self.sweep, self.swept

    def sweep_of(self, rows: Interactions) -> Sweep:
        """Return the function that does a sweep, with the rows as it needs them."""
        if self.device.type == "cuda":
            from anirec.models.ratings.kernels.cuda_sweep import cuda_sweep, square_blocks

            return partial(cuda_sweep, square_blocks(rows, self.n_items, self.device, seed=int(self.seed)))
        return partial(fused_sweep, square_grid(rows, self.n_items, groups_for(len(rows))))

    @property
    def sweep_device(self) -> torch.device:
        """The device of a sweep. The tables are copied there and back, once per sweep."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    def check_trainer(self) -> None:
        """Raise UserError if the trainer does not support the settings."""
        name = type(self).__name__
        if self.trainer.world_size > 1:
            raise UserError(f"{name} trains in one process, not in {self.trainer.world_size}. Use trainer.devices=1.")

    def start_from(self, earlier: WarmStart) -> str:
        why_not = self.copy_from(earlier)
        self.sweeps.zero_()  # the learning rate starts again, too
        return why_not

    def initialise(self, rows: Interactions) -> None:
        """Draw initial factors for users and items with ratings that have none yet; those of all others stay 0."""
        rated, noise = ~np.isnan(rows.rating), torch.Generator().manual_seed(int(self.seed))
        self.draw_factors("user_factors", count_rated(rows.user, rows.rating, self.n_users + 1), noise)
        self.draw_factors("item_factors", count_rated(rows.item, rows.rating, self.n_items + 1), noise)
        mean = self.baseline.mean.clone()
        self.baseline.centre(rows.rating if rated.all() else rows.rating[rated])
        if self.warm_start and not self.warm_start.why_not:
            self.baseline.mean = mean  # the offsets are relative to it

    def draw_factors(self, name: str, count_n: NDArray[np.int64], generator: torch.Generator) -> None:
        """Replace rows of 0 in a table by normally distributed factors, unless their count (n,) is 0."""
        noise_nf = torch.randn(len(count_n), self.n_factors, generator=generator).mul_(self.init_std)
        noise_nf[torch.from_numpy(count_n == 0)] = 0
        noise_nf, old_nf = noise_nf.to(self.device), self.get_buffer(name)
        setattr(
            self,
            name,
            noise_nf if self.warm_start is None else torch.where(old_nf.any(1, keepdim=True), old_nf, noise_nf),
        )

    @torch.no_grad()
    def training_step(self, part: int, batch_index: int) -> None:
        if batch_index == 0:
            self.swept = Factors(*(table.to(self.sweep_device) for table in self.factor_tables()))
        rates = Rates(self.lr * self.lr_decay ** int(self.sweeps), self.reg, self.reg_bias)
        self.sweep(self.swept, rates, seed=self.sweep_seed(), part=part, n_parts=len(self.batches(self.data, 0, 1)))

    def factor_tables(self) -> Factors[Tensor]:
        """Return the tables that a sweep updates in place."""
        offsets = self.baseline
        nothing = self.item_factors[:0]
        return Factors(offsets.mean, offsets.user, offsets.item, self.user_factors, self.item_factors, nothing)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: object, part: int, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            for table, swept in zip(self.factor_tables(), self.swept, strict=True):
                table.copy_(swept)
            self.sweeps += 1
            self.finish_sweep()
            self.count_step()

    def finish_sweep(self) -> None:
        if not self.baseline.item.sum().isfinite():  # a step that is not finite changes an offset, too
            raise UserError(
                f"{type(self).__name__} diverged in epoch {int(self.sweeps)}: the factors are no longer finite. "
                f"The learning rate is probably too large: lr={self.lr:g}; try lr={min(self.lr / 3, 0.1):.2g}."
            )

    def user_vectors(self) -> Tensor:
        """Return the vector of each user that is multiplied by item factors, (n_users + 1, n_factors)."""
        return self.user_factors

    def forward(self, batch: RatingBatch) -> Tensor:
        # In small parts, since large tensors get new memory from the system, which takes longer than the products.
        parts = zip(batch.user.split(PREDICTED_AT_ONCE), batch.item.split(PREDICTED_AT_ONCE), strict=True)
        vectors = self.user_vectors()
        match = torch.cat([(vectors[user] * self.item_factors[item]).sum(1) for user, item in parts])
        offsets = self.baseline
        return offsets.within_range(offsets.mean + offsets.user[batch.user] + offsets.item[batch.item] + match)

    def score_items(self, users: Tensor) -> Tensor:
        scores_bi = self.user_vectors()[users] @ self.item_factors[:-1].T
        return scores_bi.add_(self.baseline.score_all_items(users))

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """Score items for new users, whose factors are those that training with fixed item factors would have given."""
        user, item, rating = deduplicate(batch)
        user_nf, offset_n = self.implicit_vectors(user, item, n), torch.zeros(n, device=rating.device)
        residual = rating - self.baseline.mean - self.baseline.item[item]
        residual -= (user_nf[user] * self.item_factors[item]).sum(1)
        rates = Rates(sum(self.lr * self.lr_decay**sweep for sweep in range(int(self.sweeps))), self.reg, self.reg_bias)
        for person in user[~rating.isnan()].unique():
            rows = (user == person) & ~rating.isnan()
            offset_n[person], factors_f = fit_new_user(self.item_factors[item[rows]], residual[rows], rates)
            user_nf[person] += factors_f
        return self.baseline.mean + offset_n[:, None] + self.baseline.item[:-1] + user_nf @ self.item_factors[:-1].T

    def implicit_vectors(self, user: Tensor, item: Tensor, n: int) -> Tensor:
        """Return the part of new users' vectors given by which items they have seen, (n, n_factors); 0 for SVD."""
        return self.item_factors.new_zeros(n, self.n_factors)
