"""Lists side by side: what several models recommend to the same users, with titles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich import box
from rich.table import Table
from rich.text import Text

from anirec.errors import UserError
from anirec.report.leaderboard import Leaderboard
from anirec.report.runs import Run

N_USERS, LENGTH = 10, 10
ON_TERMINAL = 5  # titles of a list
NARROWEST = 24  # characters of a column
HIT = "✓"
HELD_OUT = 3  # titles
LISTS = "recommendations.parquet"


@dataclass(frozen=True)
class UserLists:
    """The lists of one user.

    Attributes:
        user: Id of the user.
        held_out: Titles of test rows, highest rating first.
        lists: For each model, the titles in the order of their rank, and whether each is relevant.
    """

    user: str
    held_out: list[str]
    lists: list[list[tuple[str, bool]]]


@dataclass(frozen=True)
class SideBySide:
    """Lists of the same users by several models.

    Attributes:
        models: Names of the configurations, best first.
        users: A random sample of the users for whom all models have a list.
        n_users: Number of these users.
        shared: For each model, the mean share of its first ten titles that the first model lists, too.
    """

    models: list[str]
    users: list[UserLists]
    n_users: int
    shared: list[float]


def side_by_side(board: Leaderboard) -> SideBySide | None:
    """Return the lists of the configurations of a leaderboard; None if fewer than two have lists of the same split."""
    of_split = runs_of_a_split(board)
    tables = {label: table for label, run in of_split.items() if (table := lists_of(run)) is not None}
    if len(tables) < 2:
        return None
    check_ids({label: of_split[label] for label in tables}, tables)
    users = pl.Series(sorted(set.intersection(*(set(table["user_id"]) for table in tables.values()))))
    if not len(users):
        return None
    sample = np.sort(np.random.default_rng(0).choice(len(users), min(N_USERS, len(users)), replace=False))
    chosen = users.gather(sample)
    run = next(iter(of_split.values()))
    names = titles_of(run.folder)
    held_out = held_out_titles(run, chosen, names)
    by_user = {label: lists_by_user(table, chosen, names) for label, table in tables.items()}
    first = next(iter(tables.values()))
    lists = [
        UserLists(str(user), held_out.get(user, []), [by_user[label][user] for label in tables]) for user in chosen
    ]
    return SideBySide(list(tables), lists, len(users), [shared_share(first, table) for table in tables.values()])


def runs_of_a_split(board: Leaderboard) -> dict[str, Run]:
    """Return a run with lists of each configuration, all of the split that most configurations have, best first."""
    by_split: dict[Any, dict[str, Run]] = {}
    for row in board.rows:
        for run in sorted(row.group.members, key=lambda run: run.split_replicate):
            if (run.folder / LISTS).is_file():
                by_split.setdefault(run.split.get("fingerprint"), {}).setdefault(row.group.label, run)
    return max(by_split.values(), key=len, default={})


def check_ids(runs: Mapping[str, Run], tables: Mapping[str, pl.DataFrame]) -> None:
    """Raise a UserError if the ids of two tables have different types."""
    first, *others = tables
    for label, name in product(others, ("user_id", "item_id")):
        found, expected = tables[label].schema[name], tables[first].schema[name]
        if found != expected:
            raise UserError(
                f"{runs[label].folder / LISTS}: damaged ({name} is {found}; it is {expected} in "
                f"{runs[first].folder / LISTS}, a run of the same split). Repeat the run, or move its folder elsewhere."
            )


def lists_of(run: Run) -> pl.DataFrame | None:
    """Return user_id, item_id, rank and relevant of the test lists up to `LENGTH`, in order; None without items."""
    table = run.table("recommendations", "test")
    if table is None or "item_id" not in table.columns:
        return None
    return (
        table.filter(pl.col("rank") <= LENGTH).select("user_id", "item_id", "rank", "relevant").sort("user_id", "rank")
    )


def titles_of(folder: Path) -> pl.DataFrame | None:
    """Return item_id and title of the run's titles; None if the run has no readable table of them."""
    try:
        return pl.scan_parquet(folder / "items.parquet", glob=False).select("item_id", "title").collect()
    except (OSError, pl.exceptions.PolarsError):
        return None


def with_titles(table: pl.DataFrame, names: pl.DataFrame | None) -> pl.DataFrame:
    """Add the column `title`, the id where there is no name."""
    number = pl.col("item_id").cast(pl.String)
    if names is None or names.schema["item_id"] != table.schema["item_id"]:
        return table.with_columns(title=number)
    return table.join(names, on="item_id", how="left", maintain_order="left").with_columns(
        pl.col("title").fill_null(number)
    )


def lists_by_user(
    table: pl.DataFrame, users: pl.Series, names: pl.DataFrame | None
) -> dict[object, list[tuple[str, bool]]]:
    rows = with_titles(table.filter(pl.col("user_id").is_in(users.implode())), names)
    found: dict[object, list[tuple[str, bool]]] = {user: [] for user in users}
    for user, title, relevant in rows.select("user_id", "title", "relevant").iter_rows():
        found[user].append((title, relevant))
    return found


def held_out_titles(run: Run, users: pl.Series, names: pl.DataFrame | None) -> dict[object, list[str]]:
    """Return the titles of the highest test ratings of each user."""
    table = run.table("predictions", "test")
    if table is None or "item_id" not in table.columns:
        return {}
    rows = table.filter(pl.col("user_id").is_in(users.implode())).sort("target", descending=True, maintain_order=True)
    found: dict[object, list[str]] = {}
    for user, title, rating in with_titles(rows, names).select("user_id", "title", "target").iter_rows():
        found.setdefault(user, []).append(f"{title} ({rating:g})")
    return found


def shared_share(first: pl.DataFrame, other: pl.DataFrame) -> float:
    """Return the mean share of the titles of a user's list that the other table lists for the user, too."""
    is_shared = other.join(first.select("user_id", "item_id", both=pl.lit(True)), on=["user_id", "item_id"], how="left")
    shares = is_shared.group_by("user_id").agg(pl.col("both").fill_null(False).mean())
    return float(shares["both"].mean() or 0.0)  # type: ignore[arg-type]


def lists_tables(found: SideBySide, width: int) -> Iterator[Table]:
    """Yield one table for each user: the first titles of the lists of as many models as fit, and later hits."""
    n_models = min(len(found.models), max(1, (width + 1) // (NARROWEST + 1)))
    column = (width - n_models + 1) // n_models
    for one in found.users:
        table = Table(box=box.SIMPLE_HEAD, title=Text(f"User {one.user}{held_out_text(one)}"), title_justify="left")
        table.title_style, table.show_edge, table.pad_edge, table.padding = "", False, False, (0, 0, 0, 0)
        for model in found.models[:n_models]:
            table.add_column(Text(model), width=column, no_wrap=True, overflow="ellipsis")
        for place in range(min(ON_TERMINAL, max(len(titles) for titles in one.lists[:n_models]))):
            table.add_row(*(list_cell(titles, place) for titles in one.lists[:n_models]))
        below = [hits_below(titles) for titles in one.lists[:n_models]]
        for row in range(max(map(len, below))):
            table.add_row(*(hits[row] if row < len(hits) else Text("") for hits in below))
        yield table


def hits_below(titles: list[tuple[str, bool]]) -> list[Text]:
    """Return the relevant titles below the first ones of a list, with their ranks."""
    later = list(enumerate(titles, start=1))[ON_TERMINAL:]
    return [Text(f"{HIT} rank {rank}: {title}", style="bold") for rank, (title, is_hit) in later if is_hit]


def held_out_text(one: UserLists) -> str:
    """Return the held-out titles of a user as text, the best few."""
    if not one.held_out:
        return ""
    more = f" and {len(one.held_out) - HELD_OUT} more" if len(one.held_out) > HELD_OUT else ""
    return f"; test: {', '.join(one.held_out[:HELD_OUT])}{more}"


def list_cell(titles: list[tuple[str, bool]], place: int) -> Text:
    if place >= len(titles):
        return Text("-", style="dim")
    title, is_hit = titles[place]
    return Text(f"{HIT} {title}" if is_hit else title, style="bold" if is_hit else "")


def lists_note(found: SideBySide) -> str:
    """Return how the users were chosen, what the mark means, and how similar the lists are."""
    chosen = f"{len(found.users)} of {found.n_users:,} users with a list by every model, drawn at random."
    first, others = found.models[0], zip(found.models[1:], found.shared[1:], strict=True)
    shares = ", ".join(f"{model} {share:.0%}" for model, share in others)
    return f"{chosen} {HIT}: a relevant test title. Share of titles that {first} lists, too, over all users: {shares}."
