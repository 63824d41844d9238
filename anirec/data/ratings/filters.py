"""Filters: which list entries are interactions, by their status; and users and items with too few ratings.

A list entry is watching, completed, on_hold, dropped, or plan_to_watch. Where a rating was given, the title was seen,
whatever the status. A plan to watch without a rating is no interaction. Of an entry with neither a rating nor a known
status nobody knows: nothing is learned from it, and the title is not recommended. In a dump without statuses
every row is an interaction.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEEN = ("watching", "completed", "on_hold", "dropped")
PLANNED = "plan_to_watch"


def is_interaction(rows: pl.DataFrame, statuses: Sequence[str] | None) -> pl.Series:
    """Which list entries are ratings or implicit feedback to learn from and to be tested on, bool (n,).

    Args:
        rows: rating and, where the dump has it, status.
        statuses: Entries with any of these statuses; None for all that were seen.

    >>> rows = pl.DataFrame({"rating": [None, None, 8.0, None], "status": ["dropped", PLANNED, PLANNED, None]})
    >>> is_interaction(rows, None).to_list(), is_interaction(rows, ["dropped"]).to_list()
    ([True, False, True, False], [True, False, False, False])
    """
    if "status" not in rows.columns:
        return pl.repeat(True, len(rows), eager=True)
    status, is_rated = rows["status"], rows["rating"].is_not_null()
    return status.is_in(SEEN if statuses is None else statuses).fill_null(False) | (is_rated & (statuses is None))


def is_planned(rows: pl.DataFrame | pl.LazyFrame) -> pl.Expr:
    """Whether an entry is a plan to watch and nothing more, bool (n,).

    >>> rows = pl.DataFrame({"rating": [None, 8.0, None], "status": [PLANNED, PLANNED, None]})
    >>> rows.select(is_planned(rows)).to_series().to_list()
    [True, False, False]
    """
    if "status" not in rows.collect_schema():
        return pl.lit(False)
    return (pl.col("status") == PLANNED).fill_null(False) & pl.col("rating").is_null()


def status_counts(rows: pl.DataFrame | pl.LazyFrame) -> dict[str, dict[str, int]]:
    """Number of entries of each status, and how many of them are rated; empty for a dump without statuses.

    >>> status_counts(pl.DataFrame({"rating": [None, 8.0, None], "status": [PLANNED, PLANNED, None]}))
    {'plan_to_watch': {'rows': 2, 'rated': 1}, 'unknown': {'rows': 1, 'rated': 0}}
    """
    if "status" not in rows.collect_schema():
        return {}
    counts = rows.lazy().group_by("status").agg(rows=pl.len(), rated=pl.col("rating").count())
    found = counts.with_columns(pl.col("status").fill_null("unknown")).sort("status").collect(engine="streaming")
    return {status: {"rows": n_rows, "rated": n_rated} for status, n_rows, n_rated in found.iter_rows()}


def k_core(user: NDArray[np.int32], item: NDArray[np.int32], *, min_user: int, min_item: int) -> NDArray[np.bool_]:
    """Which rows remain when every user has `min_user` rows and every item `min_item`, all (n,).

    Dropping an item can leave a user with too few rows and so on: repeated until both hold.

    >>> k_core(np.array([0, 0, 1]), np.array([0, 1, 1]), min_user=2, min_item=1)
    array([ True,  True, False])
    """
    kept = np.ones(len(user), dtype=bool)
    while True:
        users, items = np.bincount(user[kept]), np.bincount(item[kept])
        few = kept.copy()
        few[kept] = (users[user[kept]] < min_user) | (items[item[kept]] < min_item)
        if not few.any():
            return kept
        kept &= ~few
