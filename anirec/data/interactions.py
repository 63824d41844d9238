"""Interactions: who rated what, as compressed sparse rows by user.

One record: user 17 gave item 4021 a rating of 8.0. Users and items are indices into the dataset's vocabularies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class RatingBatch(NamedTuple):
    """Rows of interactions as a model sees them; all three have shape (B,).

    `user` and `item` are int64 indices, -1 for an id that the dataset does not know;
    `rating` is float32 in the data's own unit, NaN where the user interacted without rating.
    """

    user: Tensor
    item: Tensor
    rating: Tensor


@dataclass(frozen=True)
class Interactions:
    """Rows sorted by (user, item): `user`, `item` int32 and `rating` float32, all (n,)."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    n_users: int

    def __len__(self) -> int:
        return len(self.user)

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
    """

    def __init__(self, interactions: Interactions, *, rows: int, rank: int = 0, world_size: int = 1) -> None:
        self.interactions = interactions
        n_blocks = -(-len(interactions) // (rows * world_size)) * world_size
        # The users at whose first rows the blocks begin, as equal in rows as whole users allow.
        places = np.arange(n_blocks + 1) * len(interactions) // max(n_blocks, 1)
        bounds = interactions.indptr[np.searchsorted(interactions.indptr, places)].tolist()
        self.blocks = list(pairwise(bounds))[rank::world_size]

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[RatingBatch]:
        return (self.interactions.rows(start, stop) for start, stop in self.blocks)
