"""Models that learn by counting: every pass over the data is summed into statistics, then solved in closed form."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn

from anirec.data.ratings.interactions import RatingBatch, deduplicate
from anirec.models.base import RatingModel, SelfTaught


class OnePass(SelfTaught):
    """Define `accumulate(batch)` into summed statistics and `solve()`, called after the last batch of a pass.

    Statistics are float64 buffers: they move with the module, are summed over processes before `solve`, and are saved
    in the checkpoint. `solve` runs before validation does. Float64 sums make one process and many agree to the last
    digits.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.statistics: list[str] = []

    def statistic(self, name: str, *shape: int) -> None:
        """Add a float64 buffer of zeros that `accumulate` adds to; call it in `allocate`."""
        self.register_buffer(name, torch.zeros(*shape, dtype=torch.float64))
        self.statistics.append(name)

    @abstractmethod
    def accumulate(self, batch: Any) -> None:
        """Add a training batch to the statistics."""

    @abstractmethod
    def solve(self) -> None:
        """Turn the statistics into the solution, in buffers that `allocate` has registered."""

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
    """A one-pass model whose statistic is the training matrix itself: `solve` sees all of it as `self.history`."""

    def allocate(self) -> None:
        self.history = History(self.n_users)

    def on_train_epoch_start(self) -> None:
        self.history.clear()

    def accumulate(self, batch: RatingBatch) -> None:
        self.history.append(batch)

    def reduce(self) -> None:
        self.history.close(self.trainer.world_size)


class HistoryRanked(MemoryBased):
    """A memory-based model that ranks from a history alone: the training one, or that of people who are in no dump."""

    @abstractmethod
    def score_history(self, history: "History", users: Tensor) -> Tensor:
        """Ranking scores (B, n_items) of the history's users, int64 (B,); -1 for an unknown one."""

    def score_items(self, users: Tensor) -> Tensor:
        return self.score_history(self.history, users)

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        return self.score_history(History.of_people(batch, n), torch.arange(n, device=batch.user.device))


class History(nn.Module):
    """What each user has done, as compressed sparse rows in buffers, so that a checkpoint carries it.

    `indptr` int64 (n_users + 2,): the last row is empty and belongs to unknown users (index -1).
    `item` int32 (n,), ascending within a user; `rating` float32 (n,), NaN where unrated.
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
    def of_people(cls, batch: RatingBatch, n: int) -> "History":
        """Of users 0 to n - 1, who are in no dump."""
        history = cls(n)
        history.append(deduplicate(batch))
        history.close()
        return history

    def append(self, batch: RatingBatch) -> None:
        """Remember the rows of whole users."""
        self.parts.append((batch.user.int(), batch.item.int(), batch.rating))

    def close(self, world_size: int = 1) -> None:
        """Gather the parts of all processes and index them by user."""
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
        """(n,) int64: the user of each row."""
        return torch.repeat_interleave(
            torch.arange(self.n_users + 1, device=self.indptr.device),
            self.indptr.diff(),
        )

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """What the users (B,) have done, end to end: their items (m,) int32, and (B,) where each one's begin there."""
        users = users % (self.n_users + 1)  # -1 is the last, empty row
        first, count = self.indptr[users], self.indptr[users + 1] - self.indptr[users]
        starts = count.cumsum(0) - count
        place = torch.arange(int(count.sum()), device=users.device) + torch.repeat_interleave(first - starts, count)
        return self.item[place], starts.int()


def gather_rows(column: Tensor, world_size: int) -> Tensor:
    """The processes' columns (n_rank,), end to end; lengths may differ."""
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, column.cpu())
    return torch.cat(parts).to(column.device)


class DataParallel(DDPStrategy):
    """Lightning's DDP, which refuses a model that has no parameter to learn: such a model sums its own statistics."""

    def configure_ddp(self) -> None:
        model = self.lightning_module
        if model is not None and any(parameter.requires_grad for parameter in model.parameters()):
            super().configure_ddp()
