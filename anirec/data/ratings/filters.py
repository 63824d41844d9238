"""Filters of list entries by status, and of users and items by their number of ratings.

The status of a list entry is watching, completed, on_hold, dropped or plan_to_watch. A title with a rating counts as
seen, whatever its status. A plan to watch without a rating is not an interaction. Whether an entry with neither a
rating nor a known status was seen is unknown: it is not used in training, and its title is not recommended. In a dump
without statuses, every row is an interaction.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.index_arrays import count_indices, of_indices

SeenStatus = Literal["watching", "completed", "on_hold", "dropped"]
SEEN: tuple[str, ...] = get_args(SeenStatus)
PLANNED = "plan_to_watch"


def is_interaction(rows: pl.DataFrame, statuses: Sequence[str] | None) -> pl.Series:
    """Return which list entries are ratings or implicit feedback, for training and test, bool (n,).

    Args:
        rows: Columns rating and, if the dump has it, status.
        statuses: The statuses whose entries are used; None for all entries of titles that were seen.

    >>> rows = pl.DataFrame({"rating": [None, None, 8.0, None], "status": ["dropped", PLANNED, PLANNED, None]})
    >>> is_interaction(rows, None).to_list(), is_interaction(rows, ["dropped"]).to_list()
    ([True, False, True, False], [True, False, False, False])
    """
    if "status" not in rows.columns:
        return pl.repeat(True, len(rows), eager=True)
    status, is_rated = rows["status"], rows["rating"].is_not_null()
    return status.is_in(SEEN if statuses is None else statuses).fill_null(False) | (is_rated & (statuses is None))


def is_planned(rows: pl.DataFrame | pl.LazyFrame) -> pl.Expr:
    """Return whether each entry is a plan to watch without a rating, bool (n,).

    >>> rows = pl.DataFrame({"rating": [None, 8.0, None], "status": [PLANNED, PLANNED, None]})
    >>> rows.select(is_planned(rows)).to_series().to_list()
    [True, False, False]
    """
    if "status" not in rows.collect_schema():
        return pl.lit(False)
    return (pl.col("status") == PLANNED).fill_null(False) & pl.col("rating").is_null()


def status_counts(rows: pl.DataFrame | pl.LazyFrame) -> dict[str, dict[str, int]]:
    """Return the number of entries of each status, and how many are rated; empty for a dump without statuses.

    >>> status_counts(pl.DataFrame({"rating": [None, 8.0, None], "status": [PLANNED, PLANNED, None]}))
    {'plan_to_watch': {'rows': 2, 'rated': 1}, 'unknown': {'rows': 1, 'rated': 0}}
    """
    if "status" not in rows.collect_schema():
        return {}
    counts = rows.lazy().group_by("status").agg(rows=pl.len(), rated=pl.col("rating").count())
    found = counts.with_columns(pl.col("status").fill_null("unknown")).sort("status").collect(engine="streaming")
    return {status: {"rows": n_rows, "rated": n_rated} for status, n_rows, n_rated in found.iter_rows()}


def k_core(user: NDArray[np.int32], item: NDArray[np.int32], *, min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Return which rows belong to the core where each user has `min_user` rows and each item `min_item`, bool (n,).

    Dropping an item can leave a user with too few rows and vice versa, so this is repeated until both limits hold.

    Args:
        user: Indices of the users, (n,).
        item: Indices of the items, (n,).
        min_user: Minimum number of rows per user.
        min_item: Minimum number of rows per item.

    >>> k_core(np.array([0, 0, 1]), np.array([0, 1, 1]), min_user=2, min_item=1)
    array([ True,  True, False])
    """
    kept = np.ones(len(user), dtype=bool)
    n_users, n_items = (int(index.max(initial=-1)) + 1 for index in (user, item))
    while True:
        few_user = count_indices(user[kept], n_users) < min_user
        few_item = count_indices(item[kept], n_items) < min_item
        few = kept & (of_indices(user, few_user) | of_indices(item, few_item))
        if not few.any():
            return kept
        kept &= ~few
