"""Interactions of users with items as arrays sorted by user, their batches, and vocabularies of raw ids.

One record: user 17 gave item 4021 a rating of 8.0. Users and items are indices into the vocabularies of the dataset.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.index_arrays import row_bounds, user_slices, whole_blocks
from anirec.errors import UserError

COLUMNS = ("user", "item", "rating", "time")
UNKNOWN = np.iinfo(np.int64).min  # stands for an unknown time
NO_TIMES = "No row of this dataset has a timestamp, so that interactions cannot be sorted by time."


class RatingBatch(NamedTuple):
    """A batch of interactions; all three tensors have shape (B,).

    `user` and `item` are int64 indices, -1 for an id that is not in the vocabulary. `rating` is float32 in the unit of
    the data, NaN where the user did not rate.
    """

    user: Tensor
    item: Tensor
    rating: Tensor


def deduplicate(batch: RatingBatch) -> RatingBatch:
    """Return the rows of known users and items, sorted by both, each pair once with its last rating.

    >>> user, item, rating = torch.tensor([0, 0, 0, 0]), torch.tensor([7, 4, -1, 7]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> deduplicate(RatingBatch(user, item, rating))
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
    """Interactions sorted by (user, item), in arrays of shape (n,).

    Args:
        user: Indices of the users, int32.
        item: Indices of the items, int32.
        rating: Ratings, float32; NaN where the user did not rate.
        n_users: Number of users in the vocabulary.
        time: Times of the interactions, int64 in any unit, UNKNOWN where unknown; None for data without times.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    n_users: int
    time: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.user)

    def merge(self, other: "Interactions") -> "Interactions":
        """Return the rows of both, sorted by (user, item); times are kept only if both have them."""
        if not len(other):
            return self
        names = [name for name in COLUMNS if getattr(self, name) is not None and getattr(other, name) is not None]
        indptr = self.indptr + other.indptr
        merged = {name: np.empty(indptr[-1], getattr(self, name).dtype) for name in names}
        for users, rows in user_slices(indptr):
            own, others = (slice(some.indptr[users.start], some.indptr[users.stop]) for some in (self, other))
            both = {name: np.concatenate([getattr(self, name)[own], getattr(other, name)[others]]) for name in names}
            order = np.lexsort((both["item"], both["user"]))
            for name, column in merged.items():
                column[rows] = both[name][order]
        return Interactions(n_users=self.n_users, **merged)

    def where(self, mask: NDArray[np.bool_]) -> "Interactions":
        """Return the rows where `mask` (n,) is true."""
        time = None if self.time is None else self.time[mask]
        return Interactions(self.user[mask], self.item[mask], self.rating[mask], self.n_users, time)

    def sort_by_time(self, *, keep_unknown: bool = False) -> "Interactions":
        """Return the rows with a known time, sorted by user and time. `time_group` tells which rows have the same time.

        Args:
            keep_unknown: Whether to keep the rows without a time, before all others of their user.

        Raises:
            UserError: No row has a time.
        """
        if self.time is None or (self.time == UNKNOWN).all():
            raise UserError(NO_TIMES)
        order = np.lexsort((self.time, self.user))
        if not keep_unknown:
            order = order[self.time[order] != UNKNOWN]
        return Interactions(self.user[order], self.item[order], self.rating[order], self.n_users, self.time[order])

    @property
    def time_group(self) -> NDArray[np.int64]:
        """Number of each row's group, (n,), for rows sorted by time: rows with the same user and time share a group."""
        if self.time is None:
            raise UserError(NO_TIMES)
        is_next = (np.diff(self.user) != 0) | (np.diff(self.time) != 0)
        return np.concatenate([np.zeros(min(1, len(self)), dtype=np.int64), is_next.cumsum()])

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """Row bounds of the users, (n_users + 1,): the rows of user u are `indptr[u]:indptr[u + 1]`."""
        return row_bounds(self.user, self.n_users)

    def rows(self, start: int, stop: int) -> RatingBatch:
        """Return the rows from `start` to before `stop` as a batch."""
        return RatingBatch(
            torch.from_numpy(self.user[start:stop]).long(),
            torch.from_numpy(self.item[start:stop]).long(),
            torch.from_numpy(self.rating[start:stop]),
        )


class UserBlocks:
    """Batches of whole users: all rows of a user are in one batch, and every row occurs once per pass.

    Each of `world_size` processes gets a different share of the batches, and the same number of them, since processes
    wait for each other at every batch. A batch can therefore be empty.

    Args:
        interactions: The rows, sorted by user.
        rows: Approximate number of interactions per batch.
        seed: Returns the seed for the random order of the batches, the same in every process; called at the start of
            each pass. None keeps the order of the users.
        rank: Number of this process, from 0.
        world_size: Number of processes.
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
        bounds = interactions.indptr[whole_blocks(interactions.indptr, n_blocks)].tolist()
        self.blocks = list(pairwise(bounds))

    def __len__(self) -> int:
        return len(self.blocks) // self.world_size

    def __iter__(self) -> Iterator[RatingBatch]:
        order = np.arange(len(self.blocks))
        if self.seed is not None:
            order = np.random.default_rng(self.seed()).permutation(order)
        for number in order[self.rank :: self.world_size]:
            yield self.interactions.rows(*self.blocks[number])


class Vocabulary:
    """Sorted unique raw ids. The index of an id is its position; the index of an unknown id is -1.

    >>> animes = Vocabulary(pl.Series([20, 5, 20, 1]))
    >>> animes.encode(pl.Series([5, 20, 7]))
    array([ 1,  2, -1], dtype=int32)
    >>> animes.ids.to_list()
    [1, 5, 20]
    """

    def __init__(self, ids: pl.Series) -> None:
        self.ids = ids.unique().sort().alias("id")

    def __len__(self) -> int:
        return len(self.ids)

    def stored(self) -> Tensor | list[Any]:
        """Return the ids for a checkpoint: whole numbers as a tensor, which is written much faster than a list.

        >>> Vocabulary(pl.Series([20, 5])).stored()
        tensor([ 5, 20])
        >>> Vocabulary(pl.Series(["b", "a"])).stored()
        ['a', 'b']
        """
        return (
            torch.tensor(self.ids.to_numpy(), dtype=torch.int64) if self.ids.dtype.is_integer() else self.ids.to_list()
        )

    @classmethod
    def restored(cls, ids: Tensor | list[Any]) -> "Vocabulary":
        """Return the vocabulary of stored ids."""
        return cls(pl.Series(ids.numpy() if isinstance(ids, Tensor) else ids))

    def encode(self, raw: pl.Series) -> NDArray[np.int32]:
        """Return the indices of raw ids, (n,) int32."""
        index = self.ids.to_frame().with_columns(index=pl.int_range(pl.len(), dtype=pl.Int32))
        found = raw.alias("id").to_frame().join(index, on="id", how="left", maintain_order="left")
        return found["index"].fill_null(-1).to_numpy()
