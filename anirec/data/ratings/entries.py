"""Reading the list entries of a prepared table in blocks, as arrays with 4 bytes for each index and rating."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices, replace_indices, row_bounds, user_slices
from anirec.data.ratings.filters import is_interaction, is_planned, k_core
from anirec.data.ratings.interactions import UNKNOWN, Vocabulary

BLOCK = 1_000_000  # rows of the table in memory at once, about 50 MB with a status and a timestamp
COLUMNS = ("user_id", "item_id", "rating", "timestamp", "status")
RATED, UNRATED, EXCLUDED = "rated", "unrated", "excluded"
Rows = dict[str, NDArray[Any]]  # the arrays of `Interactions` by name; `time` only if the table has times


def read_entries(
    path: Path,
    *,
    statuses: Sequence[str] | None,
    min_user: int,
    min_item: int,
    implicit: bool = False,
    block: int = BLOCK,
) -> tuple[dict[str, Rows], Vocabulary, Vocabulary]:
    """Return the entries of a prepared table by group, and the vocabularies of the users and items with ratings.

    The groups are the interactions with a rating, those without one, and the entries that `statuses` excludes; see
    `anirec.data.ratings.filters`. Rows of users or items without ratings are dropped. The rows of each group are sorted
    by user and item.

    Args:
        path: The table, sorted by user, each pair of user and item once.
        statuses: The statuses of entries to use; None for all entries of titles that were seen.
        min_user: Minimum number of ratings per user.
        min_item: Minimum number of ratings per item.
        implicit: Whether the table has no ratings at all: all interactions then count as rated, with a rating of NaN.
        block: Number of rows to read at once.
    """
    groups, *ids = read_groups(pl.scan_parquet(path, glob=False), statuses, block, implicit=implicit)
    rated = groups[RATED]
    if min_user > 1 or min_item > 1:
        keep(rated, k_core(rated["user"], rated["item"], min_user=min_user, min_item=min_item))
    vocabularies = []
    for name, of_column in zip(("user", "item"), ids, strict=True):
        is_used = count_indices(rated[name], len(of_column)) > 0
        vocabularies.append(Vocabulary(of_column.filter(pl.Series(is_used))))
        number = np.where(is_used, np.cumsum(is_used) - 1, -1).astype(np.int32)
        for rows in groups.values():
            replace_indices(rows[name], number)
    users, items = vocabularies
    for rows in groups.values():
        keep(rows, (rows["user"] >= 0) & (rows["item"] >= 0))
        sort_by_item(rows, len(users))
    return groups, users, items


def read_groups(
    table: pl.LazyFrame, statuses: Sequence[str] | None, block: int, *, implicit: bool
) -> tuple[dict[str, Rows], pl.Series, pl.Series]:
    """Return the groups of `read_entries`, and the sorted ids of all users and items of the table, which they index."""
    schema = table.collect_schema()
    table = table.select([column for column in COLUMNS if column in schema])
    users = UserNumbers()
    items = Vocabulary(table.select(pl.col("item_id").unique()).collect(engine="streaming")["item_id"])
    n_rows = table.select(pl.len()).collect().item()
    groups = {name: Group(n_rows, timed="timestamp" in schema) for name in (RATED, UNRATED, EXCLUDED)}
    for start in range(0, n_rows, block):
        rows = table.slice(start, block).collect()
        user, item = users.number(rows["user_id"]), items.encode(rows["item_id"])
        columns = {"user": user, "item": item, "rating": rows["rating"].fill_null(float("nan")).to_numpy()}
        if "timestamp" in rows.columns:
            columns["time"] = rows["timestamp"].to_physical().fill_null(UNKNOWN).to_numpy()
        for name, mask in masks(rows, statuses, implicit=implicit).items():
            groups[name].add(columns, mask)
    return {name: group.rows() for name, group in groups.items()}, users.ids(schema["user_id"]), items.ids


class Group:
    """The rows of one group, in arrays that have room for all rows of the table: unused pages take no memory."""

    def __init__(self, n_rows: int, *, timed: bool) -> None:
        dtypes = {"user": np.int32, "item": np.int32, "rating": np.float32, **({"time": np.int64} if timed else {})}
        self.columns = {name: np.empty(n_rows, dtype) for name, dtype in dtypes.items()}
        self.n = 0

    def add(self, columns: Rows, mask: NDArray[np.bool_]) -> None:
        """Append the rows where `mask` (n,) is true."""
        stop = self.n + int(np.count_nonzero(mask))
        for name, values in columns.items():
            self.columns[name][self.n : stop] = values[mask]
        self.n = stop

    def rows(self) -> Rows:
        return {name: values[: self.n] for name, values in self.columns.items()}


def masks(
    rows: pl.DataFrame, statuses: Sequence[str] | None, *, implicit: bool = False
) -> Mapping[str, NDArray[np.bool_]]:
    """Return which entries are in which group; planned entries are in none."""
    used, is_rated = is_interaction(rows, statuses).to_numpy(), rows["rating"].is_not_null().to_numpy() | implicit
    planned = rows.select(planned=is_planned(rows))["planned"].to_numpy()
    return {RATED: used & is_rated, UNRATED: used & ~is_rated, EXCLUDED: ~(used | planned)}


class UserNumbers:
    """Numbers users in the order of a table that is sorted by user and read in blocks."""

    def __init__(self) -> None:
        self.found: list[pl.Series] = []
        self.n = 0

    def number(self, ids: pl.Series) -> NDArray[np.int32]:
        """Return the numbers of the users of the next rows, (n,)."""
        runs = ids.rle().struct.field("value")
        is_continued = bool(self.n and len(runs) and runs[0] == self.found[-1][-1])
        first = self.n - is_continued
        if len(runs) > is_continued:
            self.found.append(runs[int(is_continued) :])
        self.n = first + len(runs)
        return ids.rle_id().to_numpy().astype(np.int32) + np.int32(first)

    def ids(self, dtype: pl.DataType) -> pl.Series:
        """Return the ids of all numbers."""
        return pl.concat([pl.Series(dtype=dtype), *self.found])


def keep(rows: Rows, mask: NDArray[np.bool_]) -> None:
    """Drop the rows where `mask` (n,) is false, in place, one column after the other."""
    if not mask.all():
        for name in rows:
            rows[name] = rows[name][mask]


def sort_by_item(rows: Rows, n_users: int) -> None:
    """Sort the rows of each user by item, in place."""
    for _, some in user_slices(row_bounds(rows["user"], n_users)):
        user, item = rows["user"][some], rows["item"][some]
        if not ((user[1:] > user[:-1]) | (item[1:] > item[:-1])).all():
            order = np.lexsort((item, user))
            for column in rows.values():
                column[some] = column[some][order]


def divide(rows: Rows, parts: NDArray[np.uint8], names: Sequence[int]) -> list[Rows]:
    """Return the rows of each part; `rows` is emptied, one column after the other."""
    masks = [parts == name for name in names]
    divided: list[Rows] = [{} for _ in names]
    for name in list(rows):
        column = rows.pop(name)
        for of_part, mask in zip(divided, masks, strict=True):
            of_part[name] = column[mask]
    return divided
