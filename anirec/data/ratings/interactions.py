"""Interactions: who rated what, as compressed sparse rows by user.

One record: user 17 gave item 4021 a rating of 8.0. Users and items are indices into the dataset's vocabularies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError

UNKNOWN = np.iinfo(np.int64).min  # of a time


class RatingBatch(NamedTuple):
    """Rows of interactions as a model sees them; all three have shape (B,).

    `user` and `item` are int64 indices, -1 for an id that the dataset does not know;
    `rating` is float32 in the data's own unit, NaN where the user interacted without rating.
    """

    user: Tensor
    item: Tensor
    rating: Tensor


def distinct(batch: RatingBatch) -> RatingBatch:
    """Known users and items only, sorted by both, each pair once with its last rating.

    >>> user, item, rating = torch.tensor([0, 0, 0, 0]), torch.tensor([7, 4, -1, 7]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> distinct(RatingBatch(user, item, rating))
    RatingBatch(user=tensor([0, 0]), item=tensor([4, 7]), rating=tensor([2., 4.]))
    """
    known = (batch.user >= 0) & (batch.item >= 0)
    user, item, rating = (column[known] for column in batch)
    n_items = int(item.max()) + 1 if len(item) else 1
    pair, order = torch.sort(user * n_items + item, stable=True)
    is_last = torch.ones_like(pair, dtype=torch.bool)
    is_last[:-1] = pair.diff() > 0
    return RatingBatch(*(column[order[is_last]] for column in (user, item, rating)))


@dataclass(frozen=True)
class Interactions:
    """Rows sorted by (user, item): `user`, `item` int32 and `rating` float32, all (n,).

    `time` is int64 (n,), in any unit, UNKNOWN where nothing tells it; None for data without times.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    n_users: int
    time: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.user)

    def and_also(self, other: "Interactions") -> "Interactions":
        """These rows and those, sorted by (user, item); the time is kept if both know it."""
        if not len(other):
            return self
        user, item, rating = (np.concatenate([getattr(self, c), getattr(other, c)]) for c in ("user", "item", "rating"))
        order = np.lexsort((item, user))
        time = None
        if self.time is not None and other.time is not None:
            time = np.concatenate([self.time, other.time])[order]
        return Interactions(user[order], item[order], rating[order], self.n_users, time)

    def where(self, mask: NDArray[np.bool_]) -> "Interactions":
        time = None if self.time is None else self.time[mask]
        return Interactions(self.user[mask], self.item[mask], self.rating[mask], self.n_users, time)

    def in_order_of_time(self) -> "Interactions":
        """The rows that have a time, of each user from the oldest to the newest. Rows of one time have no order: see
        `moment`.

        Raises:
            UserError: No row has a time.
        """
        if self.time is None or (self.time == UNKNOWN).all():
            raise UserError("No row of this dataset has a timestamp: nothing tells what came first.")
        order = np.lexsort((self.time, self.user))
        order = order[self.time[order] != UNKNOWN]
        return Interactions(self.user[order], self.item[order], self.rating[order], self.n_users, self.time[order])

    @property
    def moment(self) -> NDArray[np.int64]:
        """(n,): the number of each row's moment, of rows in order of time: rows of one user and time share one."""
        if self.time is None:
            raise UserError("No row of this dataset has a timestamp: nothing tells what came first.")
        is_next = (np.diff(self.user) != 0) | (np.diff(self.time) != 0)
        return np.concatenate([np.zeros(min(1, len(self)), dtype=np.int64), is_next.cumsum()])

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """(n_users + 1,): the rows of user u are `indptr[u]:indptr[u + 1]`."""
        return np.searchsorted(self.user, np.arange(self.n_users + 1)).astype(np.int64)

    def rows(self, start: int, stop: int) -> RatingBatch:
        return RatingBatch(
            torch.from_numpy(self.user[start:stop]).long(),
            torch.from_numpy(self.item[start:stop]).long(),
            torch.from_numpy(self.rating[start:stop]),
        )


class UserBlocks:
    """Batches that hold whole users: a user's rows are never split, and every row comes once a pass.

    Each of `world_size` processes gets its share, without repeats, in equally many batches: processes wait for each
    other at every batch. So a batch can be empty.

    Args:
        interactions: Sorted by user.
        rows: Interactions a batch, about.
        seed: Gives the seed of a pass when it begins, the same in every process: the blocks come in a random order.
            None: in the order of the users.
    """

    def __init__(
        self,
        interactions: Interactions,
        *,
        rows: int,
        seed: Callable[[], tuple[int, ...]] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.interactions, self.seed, self.rank, self.world_size = interactions, seed, rank, world_size
        n_blocks = -(-len(interactions) // (rows * world_size)) * world_size
        # The users at whose first rows the blocks begin, as equal in rows as whole users allow.
        places = np.arange(n_blocks + 1) * len(interactions) // max(n_blocks, 1)
        bounds = interactions.indptr[np.searchsorted(interactions.indptr, places)].tolist()
        self.blocks = list(pairwise(bounds))

    def __len__(self) -> int:
        return len(self.blocks) // self.world_size

    def __iter__(self) -> Iterator[RatingBatch]:
        order = np.arange(len(self.blocks))
        if self.seed is not None:
            order = np.random.default_rng(self.seed()).permutation(order)
        for number in order[self.rank :: self.world_size]:
            yield self.interactions.rows(*self.blocks[number])
