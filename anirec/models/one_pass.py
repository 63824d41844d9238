"""One-pass models: training sums statistics over all batches and then solves for the parameters in closed form."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.distributed import RunLauncher
from anirec.lightning import DDPStrategy
from anirec.models.base import ManualOptimization, RatingModel
from anirec.models.cost import Cost, Counts

FIT_OPERATIONS = 400  # per row, of indexing the rows and fitting the bias model


class OnePass(ManualOptimization):
    """Base class of models that are fitted in one pass over the training data.

    Subclasses define `accumulate(batch)`, which adds a batch to the statistics, and `solve()`, which is called after
    the last batch of an epoch, before validation. Statistics are float64 buffers: they move to the device with the
    module, are summed over processes before `solve`, and are saved in the checkpoint. With float64 sums, the results of
    one and of several processes differ by rounding only.
    """

    same_on_any_devices: ClassVar[bool] = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.statistics: list[str] = []

    def add_statistic(self, name: str, *shape: int) -> None:
        """Register a float64 buffer of zeros for `accumulate` to add to; call it in `allocate`."""
        self.register_buffer(name, torch.zeros(*shape, dtype=torch.float64))
        self.statistics = [*self.statistics, name]

    @abstractmethod
    def accumulate(self, batch: Any) -> None:
        """Add a training batch to the statistics."""

    @abstractmethod
    def solve(self) -> None:
        """Compute the parameters from the statistics, into buffers registered by `allocate`."""

    def on_train_epoch_start(self) -> None:
        for name in self.statistics:
            self.get_buffer(name).zero_()

    @torch.no_grad()
    def training_step(self, batch: Any, batch_index: int) -> None:
        self.accumulate(batch)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        if self.trainer.is_last_batch:
            self.reduce()
            self.solve()
            self.count_step()

    def reduce(self) -> None:
        """Sum the statistics over processes."""
        if self.trainer.world_size > 1:
            for name in self.statistics:
                torch.distributed.all_reduce(self.get_buffer(name))


class MemoryBased(OnePass, RatingModel):
    """A one-pass model that needs the whole training matrix: `solve` reads it from `self.history`."""

    bytes_per_row: ClassVar[int] = 72  # the history, and index and residual of each row while the bias model is fitted

    def cost(self, counts: Counts) -> Cost:
        return super().cost(counts) + Cost(operations=FIT_OPERATIONS * counts.n_rows)

    def allocate(self) -> None:
        self.history = History(self.n_users)

    def on_train_epoch_start(self) -> None:
        self.history.clear()

    def accumulate(self, batch: RatingBatch) -> None:
        self.history.append(batch)

    def reduce(self) -> None:
        self.history.close(self.trainer.world_size)


class HistoryScorer(MemoryBased):
    """A memory-based model that scores items from a user's history alone, so that it also ranks for new users."""

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs; the checkpoint holds item and rating of each row."""
        return super().cost(counts) + Cost(checkpoint=8 * counts.n_rows)

    @abstractmethod
    def score_history(self, history: "History", users: Tensor) -> Tensor:
        """Return ranking scores (B, n_items) for users (B,), int64, of the history; -1 stands for an unknown user."""

    def score_items(self, users: Tensor) -> Tensor:
        return self.score_history(self.history, users)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        return self.score_history(History.of_new_users(batch, n), torch.arange(n, device=batch.user.device))


class History(nn.Module):
    """Interactions of all users as a compressed sparse row matrix, in buffers that are saved in the checkpoint.

    Attributes:
        indptr: Start of each user's rows, int64 (n_users + 2,). The last row is empty and stands for unknown users
            (index -1).
        item: Item indices, int32 (n,), ascending within a user.
        rating: Ratings, float32 (n,); NaN where unrated.
    """

    indptr: Tensor
    item: Tensor
    rating: Tensor

    def __init__(self, n_users: int) -> None:
        super().__init__()
        self.n_users = n_users
        self.clear()
        self.register_buffer("indptr", torch.zeros(n_users + 2, dtype=torch.int64))
        self.register_buffer("item", torch.empty(0, dtype=torch.int32))
        self.register_buffer("rating", torch.empty(0, dtype=torch.float32))

    def clear(self) -> None:
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []

    @classmethod
    def of_new_users(cls, batch: RatingBatch, n: int) -> "History":
        """Build the history of new users, numbered 0 to n - 1."""
        history = cls(n)
        history.append(deduplicate(batch))
        history.close()
        return history

    def append(self, batch: RatingBatch) -> None:
        """Append a batch, which holds all rows of its users."""
        self.parts.append((batch.user.int(), batch.item.int(), batch.rating))

    def close(self, world_size: int = 1) -> None:
        """Gather the batches of all processes and index them by user."""
        user, item, rating = (torch.cat(column) for column in zip(*self.parts, strict=True))
        self.clear()
        if world_size > 1:
            user, item, rating = (gather_rows(column, world_size) for column in (user, item, rating))
            order = torch.argsort(user, stable=True)
            user, item, rating = user[order], item[order], rating[order]
        counts = torch.bincount(user, minlength=self.n_users + 1)
        self.indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self.item, self.rating = item, rating

    def user(self) -> Tensor:
        """Return the user of each row, int64 (n,)."""
        return torch.repeat_interleave(
            torch.arange(self.n_users + 1, device=self.indptr.device),
            self.indptr.diff(),
        )

    def rows_of(self, users: Tensor) -> tuple[RatingBatch, Tensor]:
        """Return the rows of users (B,), numbered 0 to B - 1, and the bounds of each user in them, int64 (B + 1,)."""
        users = users % (self.n_users + 1)  # -1 is the last, empty row
        first, count = self.indptr[users], self.indptr[users + 1] - self.indptr[users]
        bounds = torch.cat([count.new_zeros(1), count.cumsum(0)])
        user = torch.repeat_interleave(torch.arange(len(users), device=users.device), count)
        rows = torch.arange(len(user), device=users.device) + (first - bounds[:-1])[user]
        return RatingBatch(user, self.item[rows].long(), self.rating[rows]), bounds


def gather_rows(column: Tensor, world_size: int) -> Tensor:
    """Concatenate the columns of all processes, whose lengths may differ."""
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, column.cpu())
    return torch.cat(parts).to(column.device)


class DataParallel(DDPStrategy):
    """Lightning's DDP strategy for models without trainable parameters too, which torch's DDP rejects.

    Such models sum their statistics over processes themselves.
    """

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = RunLauncher(self.cluster_environment, self.num_processes, self.num_nodes)

    def configure_ddp(self) -> None:
        model = self.lightning_module
        if model is not None and any(parameter.requires_grad for parameter in model.parameters()):
            super().configure_ddp()
