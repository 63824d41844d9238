"""Batches of titles: row numbers in the corpus and scores. The model looks up the features of these rows."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError

EVALUATION_ROWS = 64  # titles per batch in evaluation


@dataclass
class TitleBatch:
    """Titles: `index`, rows of `Corpus.titles`, int64 (B,), on the CPU; `score`, float32 (B,), NaN where unknown."""

    index: Tensor
    score: Tensor


class TitleBlocks:
    """Batches of `rows` titles in the given order, for evaluation."""

    def __init__(self, index: NDArray[np.int64], score: NDArray[np.float32], *, rows: int) -> None:
        self.index, self.score, self.rows = index, score, rows

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.rows)

    def __iter__(self) -> Iterator[TitleBatch]:
        for start in range(0, len(self.index), self.rows):
            yield make_batch(self.index[start : start + self.rows], self.score)


class ShuffledTitles:
    """Training batches, shuffled differently in every epoch, of titles of similar length, which saves padding.

    The titles are shuffled, sorted by length within pools of `POOL` batches, and the batches are shuffled again. Each
    process takes every `world_size`-th batch. If the last batches do not suffice for all processes, they are skipped,
    so that no title occurs twice in an epoch and all processes make the same number of steps.

    Args:
        index: Rows of the training titles, (n,).
        score: Scores of all titles of the corpus, (N,).
        rows: Titles per batch.
        lengths: Length of each title of the corpus, (N,); None if all are equal.
        seed: Seed of the order.
        epoch: Returns the number of the epoch; called at the start of each pass.
        shuffled: Whether to shuffle; if false, the order of `index` is kept in every epoch, as in some publications.
        rank: Number of this process, from 0.
        world_size: Number of processes.

    Raises:
        UserError: There are too few titles to give every process a batch.
    """

    def __init__(
        self,
        index: NDArray[np.int64],
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
            raise UserError(
                f"{len(index)} training titles are too few for {world_size} processes with {rows} titles per batch. "
                "Lower the batch size or the number of devices."
            )

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.rows) // self.world_size

    def __iter__(self) -> Iterator[TitleBatch]:
        batches = self.batches()
        for position in range(self.rank, len(self) * self.world_size, self.world_size):
            yield make_batch(batches[position], self.score)

    def batches(self) -> list[NDArray[np.int64]]:
        """Return all batches of this epoch, for all processes."""
        if not self.shuffled:
            return split_batches(self.index, self.rows)
        random = np.random.default_rng((self.seed, self.epoch()))
        order = random.permutation(self.index)
        if self.lengths is None:
            return split_batches(order, self.rows)
        lengths = self.lengths
        pools = split_batches(order, self.rows * POOL)
        batches = [
            batch
            for pool in pools
            for batch in split_batches(pool[np.argsort(lengths[pool], kind="stable")], self.rows)
        ]
        return [batches[position] for position in random.permutation(len(batches))]


POOL = 50  # batches whose titles are sorted together: this leaves a few per cent of padding, and random batches


def split_batches(index: NDArray[np.int64], rows: int) -> list[NDArray[np.int64]]:
    """Split row numbers into batches of `rows`.

    >>> [part.tolist() for part in split_batches(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    return [index[start : start + rows] for start in range(0, len(index), rows)]


def make_batch(index: NDArray[np.int64], score: NDArray[np.float32]) -> TitleBatch:
    return TitleBatch(torch.from_numpy(index), torch.from_numpy(score[index]))
