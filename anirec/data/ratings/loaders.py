"""Shuffled batches of interactions for gradient training: of single rows, or of whole users."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.errors import UserError

COLUMNS = ("user", "item", "rating")


class ShuffledInteractions:
    """Training batches of about `rows` interactions, shuffled differently in every epoch; each row once per epoch.

    No batch is empty. Each process takes every `world_size`-th batch. If the last batches do not suffice for all
    processes, they are skipped.

    Args:
        interactions: The training rows.
        rows: Approximate number of interactions per batch.
        seed: Seed of the order.
        epoch: Returns the number of the epoch; called at the start of each pass.
        whole_users: Whether a batch holds all rows of its users, user by user; otherwise, rows of any users.
        shuffled: Whether to shuffle; if false, the rows are in the order of the users in every epoch.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        device: Returns the device of the batches, which then holds all rows; called at the start of each pass.

    Raises:
        UserError: There are too few rows to give every process a batch.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        rows: int,
        seed: int,
        epoch: Callable[[], int],
        whole_users: bool,
        shuffled: bool = True,
        rank: int = 0,
        world_size: int = 1,
        device: Callable[[], torch.device] = lambda: torch.device("cpu"),
    ) -> None:
        self.interactions, self.rows, self.seed, self.epoch = interactions, rows, seed, epoch
        self.device, self.columns = device, [torch.from_numpy(getattr(interactions, name)) for name in COLUMNS]
        self.whole_users, self.shuffled, self.rank, self.world_size = whole_users, shuffled, rank, world_size
        most = int(np.count_nonzero(np.diff(interactions.indptr))) if whole_users else len(interactions)
        self.n_batches = min(most, -(-len(interactions) // rows))
        if not len(self):
            n_rows = len(interactions)
            raise UserError(
                f"{n_rows} training rows are too few for {world_size} processes with {rows} rows per batch. "
                "Lower the batch size or the number of devices."
            )

    def __len__(self) -> int:
        return self.n_batches // self.world_size

    def __iter__(self) -> Iterator[RatingBatch]:
        random = np.random.default_rng((self.seed, self.epoch()))
        self.columns = [column.to(self.device()) for column in self.columns]
        batches = self.batches_of_users(random) if self.whole_users else self.batches_of_rows(random)
        for number in range(self.rank, len(self) * self.world_size, self.world_size):
            yield self.batch(batches(number))

    def batches_of_rows(self, random: np.random.Generator) -> Callable[[int], Tensor]:
        """Return the function that gives the rows of a batch by its number."""
        order = np.arange(len(self.interactions), dtype=np.int32)
        if self.shuffled:
            random.shuffle(order)
        bounds = np.linspace(0, len(order), self.n_batches + 1).astype(np.int64)
        there = torch.from_numpy(order).to(self.device())
        return lambda number: there[bounds[number] : bounds[number + 1]]

    def batches_of_users(self, random: np.random.Generator) -> Callable[[int], Tensor]:
        """Return the function that gives the rows of a batch of whole users by its number."""
        indptr = self.interactions.indptr
        users = np.flatnonzero(np.diff(indptr))
        if self.shuffled:
            users = random.permutation(users)
        length = indptr[users + 1] - indptr[users]
        first = length.cumsum() - length  # of each user, in the new order of the rows
        bounds = np.linspace(0, len(self.interactions), self.n_batches + 1).astype(np.int64)
        # A user with many rows must leave at least one user for each other batch.
        step = np.arange(self.n_batches + 1)
        ahead = np.maximum.accumulate(np.searchsorted(first, bounds) - step)
        cuts = np.minimum(ahead, len(users) - self.n_batches) + step

        def rows(number: int) -> Tensor:
            chosen = slice(cuts[number], cuts[number + 1])
            move = indptr[users[chosen]] - (first[chosen] - first[cuts[number]])
            index = np.arange(length[chosen].sum()) + np.repeat(move, length[chosen])
            return torch.from_numpy(index).to(self.device(), non_blocking=True)

        return rows

    def batch(self, index: Tensor) -> RatingBatch:
        user, item, rating = (column.index_select(0, index) for column in self.columns)
        return RatingBatch(user.long(), item.long(), rating)
