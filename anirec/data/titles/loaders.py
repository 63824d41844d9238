"""Titles in batches: which rows of the corpus, and their scores. What a title looks like is the model's own affair."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError

EVALUATION_ROWS = 64  # titles judged at once
Indices = NDArray[np.int64]


@dataclass
class TitleBatch:
    """Rows of `Corpus.titles`: `index` int64 (B,), `score` float32 (B,), NaN where unknown."""

    index: Tensor
    score: Tensor


class TitleBlocks:
    """Titles in the given order, `rows` at a time; for evaluation."""

    def __init__(self, index: Indices, score: NDArray[np.float32], *, rows: int) -> None:
        self.index, self.score, self.rows = index, score, rows

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.rows)

    def __iter__(self) -> Iterator[TitleBatch]:
        for start in range(0, len(self.index), self.rows):
            yield batch_of(self.index[start : start + self.rows], self.score)


class ShuffledTitles:
    """Training batches: other ones in every epoch, of titles about equally long, so that little is padded.

    The titles are shuffled, sorted by length within pools of `POOL` batches, and the batches shuffled again. Every
    process takes each `world_size`-th batch; a last round that is not enough for all is left out, so that no title is
    seen twice in an epoch and all processes make equally many steps.

    Args:
        index: The training titles, (n,).
        score: Of all titles of the corpus, (N,).
        rows: Titles a batch.
        lengths: Cost of each of all titles, (N,); None for equal ones.
        seed: Of the order.
        epoch: Tells the epoch when a pass begins.
        shuffled: False keeps the order of `index` in every epoch, as some publications did.
    """

    def __init__(
        self,
        index: Indices,
        score: NDArray[np.float32],
        *,
        rows: int,
        lengths: NDArray[np.int64] | None,
        seed: int,
        epoch: Callable[[], int],
        shuffled: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.index, self.score, self.rows, self.lengths = index, score, rows, lengths
        self.seed, self.epoch, self.shuffled = seed, epoch, shuffled
        self.rank, self.world_size = rank, world_size
        if not len(self):
            raise UserError(f"{len(index)} training titles are too few for {world_size} processes of {rows} a batch")

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.rows) // self.world_size

    def __iter__(self) -> Iterator[TitleBatch]:
        batches = self.batches()
        for place in range(self.rank, len(self) * self.world_size, self.world_size):
            yield batch_of(batches[place], self.score)

    def batches(self) -> list[Indices]:
        """All batches of this epoch, of all processes."""
        if not self.shuffled:
            return cut(self.index, self.rows)
        random = np.random.default_rng((self.seed, self.epoch()))
        order = random.permutation(self.index)
        if self.lengths is None:
            return cut(order, self.rows)
        lengths = self.lengths
        pools = cut(order, self.rows * POOL)
        batches = [batch for pool in pools for batch in cut(pool[np.argsort(lengths[pool], kind="stable")], self.rows)]
        return [batches[place] for place in random.permutation(len(batches))]


POOL = 50  # batches sorted by length together: padding falls to a few per cent, and batches stay random


def cut(index: Indices, rows: int) -> list[Indices]:
    """
    >>> [part.tolist() for part in cut(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return [index[start : start + rows] for start in range(0, len(index), rows)]


def batch_of(index: Indices, score: NDArray[np.float32]) -> TitleBatch:
    return TitleBatch(torch.from_numpy(index), torch.from_numpy(score[index]))
