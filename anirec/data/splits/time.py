"""Splits in time: the latest rows, windows of a backtest, the last rows of each user, and titles by their air date.

Times are compared as they are in the dump; the time zone of the machine has no effect. Rows with equal times are never
ordered by anything else, and stay in one part. Rows without a time are training rows.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from annotated_types import Ge
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices, row_bounds, user_slices
from anirec.data.splits.base import LATER, TEST, TRAIN, VAL, Parts, Split, check_shares
from anirec.data.splits.users import GIVEN
from anirec.errors import UserError
from anirec.settings import Count, PositiveInt, PositiveShare, Share

NEVER = np.iinfo(np.int64).max
UNKNOWN = np.iinfo(np.int64).min


def times_of(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the times of rows in microseconds, (n,); UNKNOWN where there is none."""
    return rows["timestamp"].cast(pl.Datetime("us")).to_physical().fill_null(UNKNOWN).to_numpy()


def bounds_in(times: pl.Series, parts: Parts) -> dict[str, str]:
    """Return the latest time of a training row and the earliest of a held-out one, in a form that sorts as text."""
    ends = {
        "train_until": times.filter(parts == TRAIN).max(),
        "held_out_from": times.filter(np.isin(parts, (VAL, TEST))).min(),
    }
    return {name: str(end) for name, end in ends.items() if end is not None}


def window_text(start: date, stop: date) -> str:
    """Return the test window of a backtest by its first and last day, or as a year or month if it is one.

    >>> window_text(date(2016, 1, 1), date(2017, 1, 1)), window_text(date(2016, 4, 1), date(2016, 5, 1))
    ('2016', '2016-04')
    >>> window_text(date(2016, 4, 1), date(2016, 7, 1)), window_text(datetime(2018, 3, 2, 5), datetime(2018, 5, 1, 5))
    ('2016-04 to 06', '2018-03-02 to 05-01')
    """
    last = stop - (timedelta(microseconds=1) if isinstance(stop, datetime) else timedelta(days=1))
    form = "%Y-%m-%d"
    if start.day == 1 and stop.day == 1:
        form = "%Y" if (start.month, stop.month) == (1, 1) else "%Y-%m"
    first, end = start.strftime(form), last.strftime(form)
    return first if first == end else f"{first} to {end.removeprefix(first[:5]) if form != '%Y' else end}"


class TimeSplit(Split):
    """Base class of the splits by the time of a row: it forbids the use of what is known only later."""

    requires = frozenset({"timestamp"})
    reads: ClassVar[frozenset[str] | None] = frozenset({"timestamp"})
    in_time = True
    val_is_earlier = True

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        held_out = times_of(rated)[(parts == VAL) | (parts == TEST)]
        return times_of(unrated) < held_out.min(initial=NEVER)

    def check_times(self, rows: pl.DataFrame) -> None:
        """Raise a UserError if no row has a time, or if all have the same."""
        if rows["timestamp"].n_unique() - (rows["timestamp"].null_count() > 0) > 1:
            return
        name, n_unknown = type(self).__name__, rows["timestamp"].null_count()
        found = "no row of this dataset has a timestamp"
        if n_unknown < len(rows):
            known = "all rows of this dataset have"
            if n_unknown:
                known = f"{n_unknown:,} of {len(rows):,} rows of this dataset have no timestamp, all others have"
            found = f"{known} the same timestamp, {rows['timestamp'].drop_nulls()[0]}"
        raise UserError(f"{name}: {found}. Use split=random or split=per_user instead.")

    def notes(self, rows: pl.DataFrame, parts: Parts) -> list[str]:
        n_unknown = rows["timestamp"].null_count()
        return [f"{n_unknown:,} of {len(rows):,} rows have no time: they are training rows."] if n_unknown else []


class Temporal(TimeSplit):
    """Use the latest rows for test and those before them for validation. Rows without a timestamp are training rows.

    Rows with the same timestamp are in the same part, the later one, so that the test and validation
    sets may be slightly larger than requested.

    Args:
        test: Share of the rows with a timestamp for test; 0 < test < 1.
        val: Share of the rows with a timestamp for validation; 0 for none.
    """

    def __init__(self, *, test: PositiveShare, val: Share) -> None:
        check_shares(test=test, val=val)
        self.test, self.val = test, val

    def bounds(self, rows: pl.DataFrame, parts: Parts) -> dict[str, str]:
        return bounds_in(rows["timestamp"], parts)

    def assign(self, rows: pl.DataFrame) -> Parts:
        self.check_times(rows)
        time, parts = times_of(rows), np.zeros(len(rows), dtype=np.uint8)
        latest_first = np.sort(time[time != UNKNOWN])[::-1]
        n_test, n_val = round(self.test * len(latest_first)), round(self.val * len(latest_first))
        for part, n in ((VAL, n_test + n_val), (TEST, n_test)):
            if n:
                parts[time >= latest_first[n - 1]] = part
        return parts


class Rolling(TimeSplit):
    """Test on one of several consecutive windows of time, train on what came before it: the folds of a backtest.

    The last window ends with the latest row, or at `end`. Later rows than the test window are not used at all. The
    rows before `train_days` are known history of their users, but not trained on.

    Run all windows with `-m split.fold=0,1,2,3`; `anirec compare` reports mean and standard deviation over them.

    Args:
        folds: Number of windows; >= 1.
        fold: The test window, from 0, the earliest; fold < folds.
        days: Length of a window in days; >= 1.
        val_days: Length of the validation window before it in days; 0 for none.
        train_days: Length of the training window before that in days; null: all earlier rows (expanding window).
        end: Day after the last window, such as 2018-05-01; null: it ends with the latest row.
    """

    replicates = frozenset({"fold"})

    def __init__(
        self,
        *,
        folds: PositiveInt,
        fold: Count,
        days: PositiveInt,
        val_days: Count,
        train_days: PositiveInt | None,
        end: str | None,
    ) -> None:
        if fold >= folds:
            raise UserError(f"split.fold={fold}, split.folds={folds}: expected 0 <= fold < folds")
        self.folds, self.fold, self.days, self.val_days, self.train_days = folds, fold, days, val_days, train_days
        self.end = None if end is None else read_day("end", end).isoformat()

    def bounds(self, rows: pl.DataFrame, parts: Parts) -> dict[str, str]:
        start, stop = self.window(rows)
        return {**bounds_in(rows["timestamp"], parts), "window": window_text(start, stop)}

    def assign(self, rows: pl.DataFrame) -> Parts:
        self.check_times(rows)
        time, parts = times_of(rows), np.zeros(len(rows), dtype=np.uint8)
        start, stop = self.window(rows)
        val_start = start - timedelta(days=self.val_days)
        if self.train_days is not None:
            parts[time < microseconds(val_start - timedelta(days=self.train_days))] = GIVEN
        parts[time >= microseconds(val_start)] = VAL
        parts[time >= microseconds(start)] = TEST
        parts[time >= microseconds(stop)] = LATER
        parts[time == UNKNOWN] = TRAIN
        if not (parts == TEST).any():
            first, last = rows["timestamp"].dt.to_string("%Y-%m-%d").drop_nulls().sort()[[0, -1]]
            raise UserError(
                f"split.fold={self.fold}: no row is in the test window, {start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M}"
                f"; the rows are from {first} to {last}. Choose another split.end, split.days or "
                "split.fold."
            )
        return parts

    def window(self, rows: pl.DataFrame) -> tuple[datetime, datetime]:
        """Return the first time in the test window and the first one after it."""
        latest: datetime = rows["timestamp"].max()  # type: ignore[assignment]
        end = latest + timedelta(microseconds=1) if self.end is None else datetime.fromisoformat(self.end)
        stop = end - timedelta(days=self.days * (self.folds - 1 - self.fold))
        return stop - timedelta(days=self.days), stop

    def notes(self, rows: pl.DataFrame, parts: Parts) -> list[str]:
        start, stop = self.window(rows)
        n_later = int(np.count_nonzero(parts == LATER))
        window = f"Test window: {start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M}; {n_later:,} later rows are not used."
        return [window, *super().notes(rows, parts)]


class LastK(TimeSplit):
    """Hold out the last rows of each user in time: the last `test` for test, the `val` before them for validation.

    A user's held-out rows are later than all other rows of that user, but not than those of other users. Where rows
    with equal times would have to be divided, all of them stay in the earlier part, so that a user may have fewer
    held-out rows than requested, or none. All rows of a user with no row left for training are training rows.

    Args:
        test: Largest number of test rows per user; >= 1.
        val: Largest number of validation rows per user; 0 for none.
    """

    requires = frozenset({"user_id", "timestamp"})
    reads = frozenset({"user", "timestamp"})

    def __init__(self, *, test: PositiveInt, val: Count) -> None:
        self.test, self.val = test, val

    def assign(self, rows: pl.DataFrame) -> Parts:
        self.check_times(rows)
        parts = np.zeros(len(rows), dtype=np.uint8)
        for some, n_from, n_timed, _ in self.counts(rows):
            of_user = parts[some]
            user = rows["user"].to_numpy()[some]
            is_test = n_timed & (n_from <= self.test)
            n_test = np.bincount(user, is_test)[user]
            is_val = n_timed & ~is_test & (n_from - n_test <= self.val)
            n_held_out, n_rows = np.bincount(user, is_test | is_val)[user], np.bincount(user)[user]
            left = n_held_out < n_rows
            of_user[is_val & left], of_user[is_test & left] = VAL, TEST
        return parts

    def counts(
        self, rows: pl.DataFrame
    ) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield blocks of whole users.

        Yields:
            The rows; for each, how many rows of its user are at its time or later; whether it has a time; and whether
            another row of its user has the same time.
        """
        user, time = rows["user"].to_numpy(), times_of(rows)
        for _, some in user_slices(row_bounds(user, int(user.max(initial=-1)) + 1)):
            own, at = user[some], time[some]
            order = np.lexsort((at, own))
            own, at = own[order], at[order]
            n = len(own)
            is_first = np.r_[np.ones(min(n, 1), dtype=bool), (own[1:] != own[:-1]) | (at[1:] != at[:-1])]
            group = is_first.cumsum() - 1
            start, sizes = np.flatnonzero(is_first)[group], np.bincount(group)[group]
            stop = np.searchsorted(own, own, side="right")
            n_from, tied = np.empty(n, dtype=np.int64), np.empty(n, dtype=bool)
            n_from[order], tied[order] = stop - start, sizes > 1
            yield some, n_from, time[some] != UNKNOWN, tied

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        held_out = (parts == VAL) | (parts == TEST)
        users = np.concatenate([rated["user"].to_numpy(), unrated["user"].to_numpy()])
        first = np.full(int(users.max(initial=-1)) + 1, NEVER)
        np.minimum.at(first, rated["user"].to_numpy()[held_out], times_of(rated)[held_out])
        return times_of(unrated) < first[unrated["user"].to_numpy()]

    def notes(self, rows: pl.DataFrame, parts: Parts) -> list[str]:
        user = rows["user"].to_numpy()
        n_users = int(user.max(initial=-1)) + 1
        lacking = np.zeros(n_users, dtype=bool)
        for some, n_from, n_timed, tied in self.counts(rows):
            # The rows of a tie that would have to be divided: some of them, but not all, are among the last ones.
            divided = n_timed & tied & (n_from > self.test) & (parts[some] == TRAIN)
            lacking[user[some][divided]] = True
        n_test = count_indices(user[parts == TEST], n_users)
        n_rows = count_indices(user, n_users)
        few = int((lacking & (n_test < self.test) & (n_rows > self.test + self.val)).sum())
        alone = int(np.count_nonzero(n_rows == 1))
        of, found = f"of {np.count_nonzero(n_rows):,} users have", []
        if alone:
            found.append(f"{alone:,} {of} a single row: it is a training row, and they are not tested.")
        if few:
            found.append(
                f"{few:,} {of} fewer than {self.test} test rows because several of their last rows have the same "
                "time: these are training rows."
            )
        return [*found, *super().notes(rows, parts)]


class AirDate(Split):
    """Test on the titles that first aired in one window of time, train on those before it: a backtest of new titles.

    For scores of titles, and for ratings: all ratings of a title are in one part, so that the test titles have no
    training rating. Ratings of older titles are training rows whenever they were given. Titles that aired after the
    test window are not used at all. Titles without an air date are training titles; a dump that knows only the year of
    a title has its first day as air date.

    Run all windows with `-m "split.fold=range(9)"`.

    Args:
        first: First day of the test window with number 0, such as 2016-01-01.
        months: Length of a window in months; >= 1. Months = 3 makes each season one window.
        fold: Number of the test window; >= 0.
        val_months: Length of the validation window before it in months; 0 for none.
        train_months: Length of the training window before that in months; null: all earlier titles.
    """

    requires = frozenset({"aired_from"})
    replicates = frozenset({"fold"})
    reads = frozenset({"item", "aired_from"})
    in_time = True

    def __init__(
        self,
        *,
        first: str,
        months: PositiveInt,
        fold: Count,
        val_months: Count,
        train_months: Annotated[int, Ge(1)] | None,
    ) -> None:
        self.first = read_day("first", first).isoformat()
        self.months, self.fold, self.val_months, self.train_months = months, fold, val_months, train_months

    def day(self, months: int) -> date:
        """Return the day that is this number of months after `first`."""
        return pl.Series([date.fromisoformat(self.first)]).dt.offset_by(f"{months}mo")[0]

    @property
    def window(self) -> tuple[date, date]:
        """First day of the test window, and the first one after it."""
        return self.day(self.fold * self.months), self.day((self.fold + 1) * self.months)

    def bounds(self, rows: pl.DataFrame, parts: Parts) -> dict[str, str]:
        return {**bounds_in(rows["aired_from"], parts), "window": window_text(*self.window)}

    def assign(self, rows: pl.DataFrame) -> Parts:
        aired, (start, stop) = rows["aired_from"], self.window
        val_start = self.day(self.fold * self.months - self.val_months)
        parts = np.zeros(len(rows), dtype=np.uint8)
        if self.train_months is not None:
            before = self.day(self.fold * self.months - self.val_months - self.train_months)
            parts[(aired < before).fill_null(False).to_numpy()] = GIVEN
        for day, part in ((val_start, VAL), (start, TEST), (stop, LATER)):
            parts[(aired >= day).fill_null(False).to_numpy()] = part
        if not (parts == TEST).any():
            raise UserError(
                f"split.fold={self.fold}: no title aired in the test window, {start} to before {stop}; the titles "
                f"aired from {aired.min()!s} to {aired.max()!s}. Choose another split.first, split.months or "
                "split.fold."
            )
        return parts

    def may_train(self, unrated: pl.DataFrame, rated: pl.DataFrame, parts: Parts) -> NDArray[np.bool_]:
        return (unrated["aired_from"] < self.day(self.fold * self.months - self.val_months)).fill_null(True).to_numpy()

    def notes(self, rows: pl.DataFrame, parts: Parts) -> list[str]:
        start, stop = self.window
        key = "item" if "item" in rows.columns else "item_id"
        titles = rows.select(key, "aired_from", part=pl.Series(parts)).unique(key)
        n_unknown, n_later = titles["aired_from"].null_count(), int((titles["part"] == LATER).sum())
        found = f"Test titles aired from {start} to before {stop}; {n_later:,} later titles are not used."
        unknown = f"{n_unknown:,} of {len(titles):,} titles have no air date: they are training titles."
        return [found, *([unknown] if n_unknown else [])]


def read_day(key: str, text: str) -> date:
    """Return the day of a setting of a split.

    Raises:
        UserError: It is not a day in the form 2018-05-01.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"split.{key}={text}: expected a day in the form 2018-05-01") from None


def microseconds(time: datetime) -> int:
    """Return a time as `times_of` does.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 2))
    2000000
    """
    return int((time - datetime(1970, 1, 1)) / timedelta(microseconds=1))
