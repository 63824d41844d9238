"""SVD: users and items as points in one space of tastes, learned by stochastic gradient descent. Funk's method."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch, UserBlocks, deduplicate
from anirec.errors import UserError
from anirec.models.base import RatingModel, SelfTaught
from anirec.models.ratings.bias import Baseline
from anirec.models.ratings.kernels import Factors, Rates, block_of, learned
from anirec.models.ratings.kernels.batched_sweep import batched_sweep
from anirec.models.ratings.kernels.fused_sweep import fused_sweep
from anirec.settings import NonNegative, Positive, PositiveInt

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData


class SVD(SelfTaught, RatingModel):
    """mean + b_u + b_i + p_u · q_i, by SGD on the squared error (Funk 2006; Koren, Bell & Volinsky 2009).

    Each epoch is one sweep over all ratings, in blocks of whole users. The blocks, the users of a block and the ratings
    of a user come in a random order that depends on the seed and the number of the sweep alone: a resumed run equals an
    uninterrupted one.

    Args:
        n_factors: Length of p_u and q_i; >= 1.
        epochs: Sweeps of a full training; what the trainer counts to; >= 1.
        lr: Step size of the first sweep; > 0.
        lr_decay: The step size of a sweep over that of the sweep before; 1 keeps it; > 0.
        reg: Penalty on the squared lengths of p_u and q_i, per rating; >= 0.
        reg_bias: Likewise on b_u and b_i; >= 0.
        init_std: Factors start as normal noise of this size; >= 0.
        solver: "fused", a compiled loop for the CPU; "batched", tensor operations for any device; "auto", the first on
            the CPU and the second elsewhere.
        parallel: Let threads share the factors without locks (Hogwild, Niu et al. 2011): faster, and each run differs
            in the last digits.

    Raises:
        UserError: If the trainer cannot give what is asked for, or the factors diverge.
    """

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
        solver: Literal["auto", "fused", "batched"],
        parallel: bool,
    ) -> None:
        super().__init__()
        self.n_factors = n_factors
        self.epochs = epochs
        self.lr, self.lr_decay = lr, lr_decay
        self.reg, self.reg_bias = reg, reg_bias
        self.init_std = init_std
        self.solver, self.parallel = solver, parallel

    def allocate(self) -> None:
        self.baseline = Baseline(self.n_users, self.n_items)
        self.register_buffer("user_factors", torch.zeros(self.n_users + 1, self.n_factors))
        self.register_buffer("item_factors", torch.zeros(self.n_items + 1, self.n_factors))
        for name in ("seed", "sweeps"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[RatingBatch]:
        rows = self.training_rows(data)
        return UserBlocks(rows, rows=self.block_rows, seed=self.sweep_seed, rank=rank, world_size=world_size)

    def sweep_seed(self) -> tuple[int, int]:
        return int(self.seed), int(self.sweeps)

    def on_train_start(self) -> None:
        self.check_trainer()
        if self.sweeps == 0:
            self.seed.fill_(torch.initial_seed() % 2**63)
            self.initialise(self.training_rows(self.data))

    def check_trainer(self) -> None:
        """Refuse what cannot be done as asked."""
        name, is_fused = type(self).__name__, self.is_fused
        if self.trainer.world_size > 1:
            raise UserError(f"{name} learns in one process, not in {self.trainer.world_size}; use trainer.devices=1.")
        if self.solver == "fused" and self.device.type != "cpu":
            raise UserError(f"{name}: solver=fused runs on the CPU, not on {self.device}; use solver=auto.")
        if self.parallel and not is_fused:
            raise UserError(f"{name}: parallel=true is for the fused solver; the batched one is parallel by itself.")
        if self.parallel and torch.are_deterministic_algorithms_enabled():
            raise UserError(f"{name}: parallel=true is never deterministic; use parallel=false or deterministic=false.")

    @property
    def is_fused(self) -> bool:
        return self.solver == "fused" or (self.solver == "auto" and self.device.type == "cpu")

    def initialise(self, rows: Interactions) -> None:
        """Noise for everyone who has ratings; nothing for the others, whom only known offsets can describe."""
        rated = ~np.isnan(rows.rating)
        noise = torch.Generator().manual_seed(int(self.seed))
        self.user_factors = self.noise(rows.user[rated], self.n_users + 1, noise)
        self.item_factors = self.noise(rows.item[rated], self.n_items + 1, noise)
        self.baseline.centre(rows.rating[rated])

    def noise(self, seen: NDArray[np.int32], n: int, generator: torch.Generator) -> Tensor:
        """(n, n_factors), zero but for the rows that are `seen`."""
        noise_nf = self.init_std * torch.randn(n, self.n_factors, generator=generator)
        noise_nf[torch.from_numpy(np.bincount(seen, minlength=n) == 0)] = 0
        return noise_nf.to(self.device)

    @torch.no_grad()
    def training_step(self, batch: RatingBatch, batch_index: int) -> None:
        block, factors = block_of(batch), self.factor_tables()
        rates = Rates(self.lr * self.lr_decay ** int(self.sweeps), self.reg, self.reg_bias)
        seed = (*self.sweep_seed(), batch_index)
        if self.is_fused:
            fused_sweep(block, factors, rates, seed=seed, parallel=self.parallel)
        else:
            batched_sweep(block, factors, rates, seed=seed)

    def factor_tables(self) -> Factors[Tensor]:
        """What a sweep changes."""
        offsets = self.baseline
        nothing = self.item_factors[:0]
        return Factors(offsets.mean, offsets.user, offsets.item, self.user_factors, self.item_factors, nothing)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: object, batch: RatingBatch, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            self.sweeps += 1
            self.finish_sweep()
            self.count_step()

    def finish_sweep(self) -> None:
        if not self.item_factors.sum().isfinite():
            raise UserError(
                f"{type(self).__name__} diverged in epoch {int(self.sweeps)}: its factors are no longer finite. "
                f"The step is too large: lr={self.lr:g}; try lr={self.lr / 3:.2g}."
            )

    def tastes(self) -> Tensor:
        """(n_users + 1, n_factors): what each user's items are compared with."""
        return self.user_factors

    def forward(self, batch: RatingBatch) -> Tensor:
        match = (self.tastes()[batch.user] * self.item_factors[batch.item]).sum(1)
        offsets = self.baseline
        return offsets.within_range(offsets.mean + offsets.user[batch.user] + offsets.item[batch.item] + match)

    def score_items(self, users: Tensor) -> Tensor:
        return self.baseline.of_all_items(users) + self.tastes()[users] @ self.item_factors[:-1].T

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """What training would have made of them, had the items been as they are now from the first; in closed form."""
        user, item, rating = deduplicate(batch)
        taste_nf, offset_n = self.implied_tastes(user, item, n), torch.zeros(n, device=rating.device)
        left = rating - self.baseline.mean - self.baseline.item[item]
        left -= (taste_nf[user] * self.item_factors[item]).sum(1)
        steps = Rates(sum(self.lr * self.lr_decay**sweep for sweep in range(int(self.sweeps))), self.reg, self.reg_bias)
        for person in user[~rating.isnan()].unique():
            rows = (user == person) & ~rating.isnan()
            offset_n[person], factors_f = learned(self.item_factors[item[rows]], left[rows], steps)
            taste_nf[person] += factors_f
        return self.baseline.mean + offset_n[:, None] + self.baseline.item[:-1] + taste_nf @ self.item_factors[:-1].T

    def implied_tastes(self, user: Tensor, item: Tensor, n: int) -> Tensor:
        """(n, n_factors): what having seen the items says of n new people, whatever they thought of them. Nothing."""
        return self.item_factors.new_zeros(n, self.n_factors)
