"""Interactions in shuffled batches, for networks: single rows, or whole users. Slices of arrays, no Python a row."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.errors import UserError


class Shuffled:
    """Training batches of about `rows` interactions, others in every epoch; each row once an epoch.

    No batch is empty. Every process takes each `world_size`-th; a last round that is not enough for all is left out.

    Args:
        interactions: The training rows.
        rows: Interactions a batch.
        seed: Of the order.
        epoch: Tells the epoch when a pass begins.
        whole_users: A batch holds all rows of its users, user after user; else rows of anyone.
        shuffled: False takes the rows in their own order, user by user, in every epoch.
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
    ) -> None:
        self.interactions, self.rows, self.seed, self.epoch = interactions, rows, seed, epoch
        self.whole_users, self.shuffled, self.rank, self.world_size = whole_users, shuffled, rank, world_size
        most = int(np.count_nonzero(np.diff(interactions.indptr))) if whole_users else len(interactions)
        self.n_batches = min(most, -(-len(interactions) // rows))
        if not len(self):
            n_rows = len(interactions)
            raise UserError(f"{n_rows} training rows are too few for {world_size} processes of {rows} a batch")

    def __len__(self) -> int:
        return self.n_batches // self.world_size

    def __iter__(self) -> Iterator[RatingBatch]:
        random = np.random.default_rng((self.seed, self.epoch()))
        order = np.arange(len(self.interactions))
        if self.shuffled:
            order = self.users_shuffled(random) if self.whole_users else random.permutation(order)
        bounds = np.linspace(0, len(order), self.n_batches + 1).astype(np.int64)
        if self.whole_users:
            user = self.interactions.user[order]
            first = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
            # A user of many rows must leave other batches something.
            step = np.arange(self.n_batches + 1)
            ahead = np.maximum.accumulate(np.searchsorted(first, bounds) - step)
            bounds = np.append(first, len(order))[np.minimum(ahead, len(first) - self.n_batches) + step]
        for place in range(self.rank, len(self) * self.world_size, self.world_size):
            yield self.batch(order[bounds[place] : bounds[place + 1]])

    def users_shuffled(self, random: np.random.Generator) -> np.ndarray:
        """All row numbers, users in a random order."""
        indptr = self.interactions.indptr
        users = random.permutation(np.flatnonzero(np.diff(indptr)))
        length = indptr[users + 1] - indptr[users]
        return np.arange(length.sum()) + np.repeat(indptr[users] - (length.cumsum() - length), length)

    def batch(self, index: np.ndarray) -> RatingBatch:
        rows = self.interactions
        user, item, rating = (torch.from_numpy(column[index]) for column in (rows.user, rows.item, rows.rating))
        return RatingBatch(user.long(), item.long(), rating)
