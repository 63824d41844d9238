"""Sequences: the history of each user in the order of time, in windows of a maximum length, and their batches."""

from collections.abc import Callable, Iterator
from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.index_arrays import row_bounds
from anirec.data.ratings.interactions import NO_TIMES, UNKNOWN, Interactions, RatingBatch
from anirec.errors import UserError

HOUR = 3_600_000_000  # microseconds
N_GAPS = 20  # classes of time gaps: 0 unknown, then powers of two hours, up to 30 years


class SequenceBatch(NamedTuple):
    """Windows of B histories, of up to T positions, padded at the end.

    Each position has the entry that is known before the one to be predicted. A window that starts a history starts with
    position "no entry"; padding has no entry either.

    Attributes:
        item: Items, int64 (B, T); -1: no entry.
        preference: How much each entry counts, float32 (B, T); see `Baseline.preferences`; 1 where there is no entry.
        hours: Time of each entry in hours since the first one of the user, float32 (B, T); NaN: unknown, or no entry.
        target: Item that follows each position, int64 (B, T); -1 at the end of a history and in padding.
        length: Number of positions of each window, int64 (B,), >= 1.
    """

    item: Tensor
    preference: Tensor
    hours: Tensor
    target: Tensor
    length: Tensor


class Sequences:
    """Histories of users, sorted by user and time.

    The order of rows that have the same user and time is not known: `shuffle_ties` draws it at random. Rows without a
    time come before all others of their user, as if they had the same time.

    Args:
        rows: The interactions, with times in microseconds.

    Attributes:
        item: Items in the order of users and time, int64 (n,).
        preference: Preferences of the entries in the same order, float32 (n,); 1 until they are set.
        hours: Times of the entries in the same order, float32 (n,); see `SequenceBatch`.
        start: Bounds of the users in it, int64 (n_users + 2,). User n_users has no entry and stands for unknown ones.
        row: Position in `rows` of each entry, int64 (n,).

    Raises:
        UserError: No row has a time.
    """

    def __init__(self, rows: Interactions) -> None:
        if rows.time is None or (len(rows) and (rows.time == UNKNOWN).all()):
            raise UserError(NO_TIMES)
        self.rows, self.start = rows, np.append(row_bounds(rows.user, rows.n_users), len(rows))
        self.row = np.lexsort((rows.time, rows.user))
        user, time = rows.user[self.row], rows.time[self.row]
        is_same = np.append(np.diff(user) == 0, False)[: len(rows)]
        is_tied = is_same & np.append(np.diff(time) == 0, False)[: len(rows)]
        self.tied = np.flatnonzero(is_tied | np.roll(is_tied, 1))
        first = np.full(rows.n_users, np.iinfo(np.int64).max)
        known = np.flatnonzero(time != UNKNOWN)
        np.minimum.at(first, user[known], time[known])
        self.hours = np.full(len(rows), np.nan, dtype=np.float32)
        self.hours[known] = (time[known] - first[user[known]]) / HOUR
        self.preference_of_row = np.ones(len(rows), dtype=np.float32)
        self.arrange()

    def arrange(self) -> None:
        self.item, self.preference = self.rows.item[self.row].astype(np.int64), self.preference_of_row[self.row]

    def set_preferences(self, preference: NDArray[np.float32]) -> None:
        """Set the preferences of the rows, (n,), in their own order."""
        self.preference_of_row = preference
        self.arrange()

    def shuffle_ties(self, random: np.random.Generator) -> None:
        """Draw the order of rows with the same user and time, independent of the order before."""
        at_tied = np.sort(self.row[self.tied])  # their order before, by user and item, of all groups
        time, user = self.rows.time, self.rows.user
        assert time is not None  # noqa: S101 - for type checkers
        order = np.lexsort((random.random(len(at_tied)), time[at_tied], user[at_tied]))
        self.row[self.tied] = at_tied[order]
        self.arrange()

    @property
    def dislikers(self) -> NDArray[np.int64]:
        """Users with a dislike, an entry with a preference below 0, (U,)."""
        before = np.append(0, (self.preference < 0).cumsum())
        return np.flatnonzero(np.diff(before[self.start]))

    def without_dislikes(self) -> "Sequences":
        """Return the histories without dislikes, in the same order."""
        kept, found = self.preference >= 0, copy(self)
        found.item, found.preference, found.hours = self.item[kept], self.preference[kept], self.hours[kept]
        found.start = np.append(0, kept.cumsum())[self.start]
        return found

    @property
    def order_counts(self) -> dict[str, int]:
        """Numbers of rows, of rows without a time, and of further rows with the time of another row of the user."""
        assert self.rows.time is not None  # noqa: S101 - for type checkers
        n_unknown = int((self.rows.time == UNKNOWN).sum())
        n_tied = int((self.rows.time[self.row[self.tied]] != UNKNOWN).sum())
        return {"n_rows": len(self.rows), "n_unknown_time": n_unknown, "n_tied": n_tied}

    def windows(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return user and end of the windows of at most `length` targets that cover each history, from its end."""
        n_windows = -(-np.diff(self.start) // length)
        user = np.repeat(np.arange(len(n_windows)), n_windows)
        age = np.arange(len(user)) - np.repeat(n_windows.cumsum() - n_windows, n_windows)
        return user, self.start[user + 1] - age * length

    def training_batch(self, user: NDArray[np.int64], end: NDArray[np.int64], length: int) -> SequenceBatch:
        """Return the windows of users (B,) with the targets before `end` (B,), at most `length` each."""
        first = np.maximum(self.start[user], end - length)
        n = end - first
        target_bt = first[:, None] + np.arange(n.max())
        is_target = target_bt < end[:, None]
        before_bt = target_bt - 1
        has_entry = is_target & (before_bt >= self.start[user][:, None])
        return self.batch(before_bt, has_entry, np.where(is_target, self.item[target_bt * is_target], -1), n)

    def newest_batch(self, user: NDArray[np.int64], length: int) -> SequenceBatch:
        """Return the newest entries of users (B,), in windows of at most `length` positions, without targets."""
        first = np.maximum(self.start[user] - 1, self.start[user + 1] - length)  # -1: "no entry", before a history
        n = self.start[user + 1] - first
        place_bt = first[:, None] + np.arange(n.max())
        has_entry = (place_bt >= self.start[user][:, None]) & (place_bt < self.start[user + 1][:, None])
        return self.batch(place_bt, has_entry, np.full(place_bt.shape, -1), n)

    def batch(
        self, place: NDArray[np.int64], has_entry: NDArray[np.bool_], target: NDArray[np.int64], n: NDArray[np.int64]
    ) -> SequenceBatch:
        place = place * has_entry  # any valid place
        columns = (
            (column[place] if len(column) else np.zeros(place.shape, column.dtype))
            for column in (self.item, self.preference, self.hours)
        )
        filled = zip(columns, (-1, 1, np.nan), strict=True)
        arrays = [np.where(has_entry, column, nothing).astype(column.dtype) for column, nothing in filled]
        return SequenceBatch(*map(torch.from_numpy, (*arrays, target, n)))


class SequenceBatches:
    """Training batches of about equally many windows, shuffled in every epoch; each row is a target once per epoch.

    Each process takes every `world_size`-th batch. If the last batches do not suffice for all, they are skipped.

    Args:
        sequences: The histories.
        length: Largest number of positions of a window.
        size: Largest number of windows per batch.
        seed: Seed of the order of windows, and of that of rows with equal times.
        epoch: Returns the number of the epoch; called at the start of each pass.
        shuffled: Whether to shuffle the windows.
        rank: Number of this process, from 0.
        world_size: Number of processes.

    Raises:
        UserError: There are too few windows to give every process a batch.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        length: int,
        size: int,
        seed: int,
        epoch: Callable[[], int],
        shuffled: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sequences, self.length, self.seed, self.epoch = sequences, length, seed, epoch
        self.shuffled, self.rank, self.world_size = shuffled, rank, world_size
        self.user, self.end = sequences.windows(length)
        self.n_batches = -(-len(self.user) // size)
        if not len(self):
            raise UserError(
                f"{len(self.user)} sequences are too few for {world_size} processes with {size} sequences per batch. "
                "Lower the batch size or the number of devices."
            )

    def __len__(self) -> int:
        return self.n_batches // self.world_size

    def __iter__(self) -> Iterator[SequenceBatch]:
        random = np.random.default_rng((self.seed, self.epoch()))
        self.sequences.shuffle_ties(random)
        order = np.arange(len(self.user))
        if self.shuffled:
            random.shuffle(order)
        parts = np.array_split(order, self.n_batches)
        for number in range(self.rank, len(self) * self.world_size, self.world_size):
            some = parts[number]
            yield self.sequences.training_batch(self.user[some], self.end[some], self.length)


def gap_classes(hours: Tensor) -> Tensor:
    """Return the class of time gaps in hours, int64: 0 unknown, 1 less than an hour, 2 less than 3 hours, …

    >>> gap_classes(torch.tensor([torch.nan, 0, 1, 2, 24, 24 * 365]))
    tensor([ 0,  1,  2,  2,  5, 14])
    """
    return (1 + torch.log2(1 + hours).floor()).clamp(1, N_GAPS - 1).nan_to_num(0).long()


def sequences_of_new_users(batch: RatingBatch, n: int) -> Sequences:
    """Return the histories of new users, numbered 0 to n - 1, in the order in which their rows are given.

    Args:
        batch: Rows of the users. Those with item -1 are left out; of a pair that occurs more than once, the last row
            counts.
        n: Number of users.
    """
    user, item, rating = (column.cpu().numpy() for column in batch)
    order = np.lexsort((item, user))
    is_last = np.append(np.diff(user[order]) != 0, True)[: len(user)]
    is_last[:-1] |= np.diff(item[order]) != 0
    kept = np.sort(order[is_last & (item[order] >= 0)])
    kept = kept[np.argsort(user[kept], kind="stable")]
    rows = Interactions(user[kept].astype(np.int32), item[kept].astype(np.int32), rating[kept], n, kept)
    sequences = Sequences(rows)
    sequences.hours[:] = np.nan  # not known
    return sequences
