"""One-pass models: training sums statistics over all batches and then solves for the parameters in closed form."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.data.ratings.interactions import Interactions, RatingBatch, deduplicate
from anirec.distributed import RunLauncher
from anirec.errors import UserError
from anirec.lightning import DDPStrategy
from anirec.models.base import POPULARITY, ManualOptimization, RatingModel
from anirec.models.checkpoint import check_indices, check_rows
from anirec.models.cost import Cost, Counts
from anirec.models.warm_start import WarmStart
from anirec.notices import warn

SAMPLED_USERS = 32  # whose scores are checked after training
FIT_OPERATIONS = 400  # per row, of indexing the rows and fitting the bias model

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData


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

    def start_from(self, earlier: WarmStart) -> str:
        return "its parameters are a function of all training rows, so that solving for them gives the same result"

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


@contextmanager
def explained_singularity(reg: float) -> Iterator[None]:
    """Raise a UserError if a matrix cannot be inverted, because the penalty on its diagonal is too small."""
    try:
        yield
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):
        raise UserError(
            f"model.reg={reg:g} is too small for these data: the equations cannot be solved in single precision. "
            "Use a larger model.reg."
        ) from None


class MemoryBased(OnePass, RatingModel):
    """A one-pass model that needs the whole training matrix: `solve` reads it from `self.history`.

    Every process has all training rows in its data module, so that the history is a view of them: it takes no memory,
    and processes exchange no rows. They share the work instead: each computes some rows of the result, and
    `exchange_rows` gives them to the others. An epoch is therefore one empty batch.
    """

    bytes_per_row: ClassVar[int] = 20  # the rows by item while the bias model is fitted

    def cost(self, counts: Counts) -> Cost:
        return super().cost(counts) + Cost(operations=FIT_OPERATIONS * counts.n_rows)

    def allocate(self) -> None:
        self.history = History(self.n_users)

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[RatingBatch]:
        return SingleBatch(self.training_rows(data).rows(0, 0))

    def on_train_epoch_start(self) -> None:
        if self.trainer.limit_train_batches != 1.0:
            raise UserError(
                f"trainer.limit_train_batches={self.trainer.limit_train_batches}: {type(self).__name__} is fitted on "
                "all training rows at once. Use another model, or fewer rows of the dataset."
            )

    def accumulate(self, batch: RatingBatch) -> None:
        """Do nothing: `reduce` reads all rows."""

    def reduce(self) -> None:
        self.history = History.of(self.training_rows(self.data)).to(self.device)

    def share_of_work(self, work_n: NDArray[Any]) -> tuple[list[int], int, int]:
        """Divide rows with `work_n` among the processes: bounds of each process, and the first and last of this one."""
        is_alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        world_size, rank = (1, 0) if is_alone else (torch.distributed.get_world_size(), torch.distributed.get_rank())
        done_n = np.append(0, np.cumsum(work_n, dtype=np.float64))
        bounds = np.searchsorted(done_n, np.linspace(0, done_n[-1], world_size + 1)).tolist()
        bounds[0], bounds[-1] = 0, len(work_n)
        return bounds, bounds[rank], bounds[rank + 1]


class SingleBatch:
    """A loader of one batch. Lightning takes a list for a collection of loaders."""

    def __init__(self, batch: RatingBatch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[RatingBatch]:
        yield self.batch


class HistoryScorer(RatingModel):
    """A model that scores items from a user's history alone, so that it also ranks for new users.

    Attributes:
        history: The histories of the training users.
    """

    history: "History"

    @torch.no_grad()
    def on_train_end(self) -> None:
        """Warn if the scores of some users are no larger than what orders items that a model scores equally."""
        super().on_train_end()
        users = self.history.indptr.diff().nonzero()[:SAMPLED_USERS, 0]
        if not self.ranks_by_rating and len(users) and self.score_items(users).abs().max() <= 2 * POPULARITY:
            warn(
                f"{type(self).__name__}: all weights are 0, or too small to order the titles, so that the lists are by "
                "popularity. Are the settings extreme?"
            )

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

    may_be_nan: ClassVar[frozenset[str]] = frozenset({"rating"})
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

    def check_tensors(self, n_items: int) -> None:
        check_rows("history.indptr", self.indptr, self.item, self.rating)
        check_indices("history.item", self.item, n_items)

    def clear(self) -> None:
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []

    @classmethod
    def of(cls, rows: Interactions) -> "History":
        """Return a view of the interactions of all users."""
        history = cls(rows.n_users)
        history.indptr = torch.from_numpy(np.append(rows.indptr, len(rows)))
        history.item, history.rating = torch.from_numpy(rows.item), torch.from_numpy(rows.rating)
        return history

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

    def close(self) -> None:
        """Index the batches by user."""
        user, self.item, self.rating = (torch.cat(column) for column in zip(*self.parts, strict=True))
        self.clear()
        counts = torch.bincount(user, minlength=self.n_users + 1)
        self.indptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    def blocks(self, rows: int = 1 << 18) -> Iterator[tuple[int, int, RatingBatch]]:
        """Yield all rows in blocks of whole users: the first and last position, and the rows, users numbered from 0."""
        ends = self.indptr.cpu().numpy()
        first = 0
        while first < self.n_users:
            last = max(first + 1, int(np.searchsorted(ends, ends[first] + rows, side="right")) - 1)
            users = torch.arange(first, min(last, self.n_users), device=self.indptr.device)
            yield int(ends[first]), int(ends[users[-1] + 1]), self.rows_of(users)[0]
            first = last

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


def exchange_rows(table_nf: Tensor, bounds: list[int], device: torch.device) -> None:
    """Give the rows that each process computed, from `bounds[rank]` to before `bounds[rank + 1]`, to all processes."""
    if len(bounds) > 2:
        for rank, (first, last) in enumerate(pairwise(bounds)):
            table_nf[first:last] = broadcast(table_nf[first:last], rank, device)


def broadcast(values: Tensor, rank: int, device: torch.device) -> Tensor:
    """Return the values of the process `rank` in all processes; `device` is that of the processes' backend."""
    sent = values.to(device, copy=True)
    torch.distributed.broadcast(sent, src=rank)
    return sent.to(values.device)


class DataParallel(DDPStrategy):
    """Lightning's DDP strategy for models without trainable parameters too, which torch's DDP rejects.

    Such models sum their statistics over processes themselves.
    """

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None  # noqa: S101 - for type checkers
        self._launcher = RunLauncher(self.cluster_environment, self.num_processes, self.num_nodes)

    def configure_ddp(self) -> None:
        model = self.lightning_module
        if model is not None and any(parameter.requires_grad for parameter in model.parameters()):
            super().configure_ddp()
