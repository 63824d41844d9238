"""What to expect of a title that does not exist yet: as tables on the terminal, or JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.atomic import replacing, write_text
from anirec.report import formatting as cells

LEVEL = 0.9  # of the interval
PLACES = 2  # of a rating


@dataclass(frozen=True, kw_only=True)
class Fanbase:
    """Of one title.

    Args:
        title: Its name.
        seen: What the model was told of it.
        notes: What a reader must know.
        threshold: Rating from which somebody is a fan.
        score: Expected mean of its ratings; users count as often as they rate.
        ends: Of the interval around it; None where nothing can be promised.
        share: Expected share of fans, users counting likewise.
        per_user: Score and share with every user counting once.
        tastes: users, audience, rating, lift, share, fans, loves; see `Audience.by_taste`.
        nearest: title, likeness, rating, n_ratings and more; see `Audience.nearest`.
    """

    title: str
    seen: dict[str, Any]
    notes: Sequence[str]
    threshold: float
    score: float
    ends: tuple[float, float] | None
    share: float
    per_user: tuple[float, float]
    tastes: pl.DataFrame
    nearest: pl.DataFrame

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        score, share = self.per_user
        return {
            "title": self.title,
            "seen": self.seen,
            "notes": list(self.notes),
            "score": self.score,
            "interval": None if self.ends is None else {"level": LEVEL, "low": self.ends[0], "high": self.ends[1]},
            "threshold": self.threshold,
            "share": self.share,
            "each_user_once": {"score": score, "share": share},
            "tastes": self.tastes.to_dicts(),
            "nearest": self.nearest.to_dicts(),
        }

    def summary(self) -> str:
        score, share = self.per_user
        ends = "" if self.ends is None else f", {LEVEL:.0%} interval {cells.interval(self.ends, PLACES)}"
        return (
            f"{self.title}\n"
            f"Predicted score {self.score:.{PLACES}f}{ends}.\n"
            f"Rated {self.threshold:g} or better by {self.share:.0%} of those who rate.\n"
            f"With every user counted once: {score:.{PLACES}f}, and {share:.0%}."
        )


def show(told: Sequence[Fanbase], console: Console) -> None:
    """Print all of them, with an empty line between."""
    for place, fanbase in enumerate(told):
        parts = [fanbase.summary(), *fanbase.notes, "", tastes_table(fanbase), *nearest_table(fanbase.nearest)]
        for part in ["", *parts] if place else parts:
            console.print(part, markup=False)


def tastes_table(fanbase: Fanbase) -> Table:
    share = f"≥ {fanbase.threshold:g}"
    shown = plain_table({"tastes, by the titles they love": "left"}, "audience", "score", "lift", share, "fans")
    for row in fanbase.tastes.iter_rows(named=True):
        ratings = (f"{row['rating']:.{PLACES}f}", f"{round(row['lift'], PLACES) + 0.0:+.{PLACES}f}")
        numbers = (f"{row['audience']:.0%}", *ratings, f"{row['share']:.0%}", f"{row['fans']:.0%}")
        shown.add_row(Text(" · ".join(row["loves"]) or cells.MISSING), *numbers)
    return shown


def nearest_table(nearest: pl.DataFrame) -> list[str | Table]:
    """After an empty line; nothing where no title was asked for."""
    if not len(nearest):
        return []
    shown = plain_table({"nearest existing titles": "left"}, "likeness", "score", "ratings")
    for row in nearest.iter_rows(named=True):
        n_ratings = cells.MISSING if row["n_ratings"] is None else f"{row['n_ratings']:,}"
        numbers = (f"{row['likeness']:.2f}", cells.number(row["rating"], PLACES), n_ratings)
        shown.add_row(Text(row["title"]), *numbers)
    return ["", shown]


def plain_table(first: dict[str, Any], *numbers: str) -> Table:
    """A column of text, and columns of numbers that never break over lines."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, side in first.items():
        shown.add_column(name, justify=side)
    for name in numbers:
        shown.add_column(name, justify="right", no_wrap=True)
    return shown


def write_fanbase(told: Sequence[Fanbase], path: Path) -> None:
    """A list with an object a title."""
    text = json.dumps([fanbase.plain() for fanbase in told], ensure_ascii=False, indent=2, default=str)
    write_text(path, f"{text}\n")


COLUMNS = ("item_id", "title", "type", "year", "genres", "episodes", "n_ratings", "score", "because")
SHOWN = ("rank", "title", "type", "year", "genres", "score", "because")
GENRES = 2  # named on the terminal
NUMBERS = ("rank", "year", "score")
ON_LIST = "on your list; "


def recommendations(
    items: pl.DataFrame,
    scores: pl.Series,
    reasons: Sequence[Sequence[tuple[str, float]]],
    is_planned: Sequence[bool] | NDArray[np.bool_],
) -> pl.DataFrame:
    """The list as a table.

    Args:
        items: The recommended titles, best first.
        scores: The model's, of each.
        reasons: Titles and ratings (NaN without) that speak for each.
        is_planned: Whether each is on the person's list to watch.
    """
    n_ratings = items["n_ratings"].to_list()
    told = [because(of_item) or f"for anybody; rated by {n:,}" for of_item, n in zip(reasons, n_ratings, strict=True)]
    told = [ON_LIST + why if planned else why for why, planned in zip(told, is_planned, strict=True)]
    table = items.drop("score", strict=False).with_columns(score=scores, because=pl.Series(told, dtype=pl.String))
    table = table.select([column for column in COLUMNS if column in table.columns])
    return table.with_row_index("rank", offset=1)


def because(titles: Sequence[tuple[str, float]]) -> str:
    """
    >>> because([("Monster", 10.0), ("Mushishi", 9.5)]), because([("Monster", float("nan"))]), because([])
    ('you rated Monster 10 and Mushishi 9.5', 'you know Monster', '')
    """
    if not titles:
        return ""
    rated = [title if rating != rating else f"{title} {rating:g}" for title, rating in titles]  # noqa: PLR0124 (NaN)
    verb = "know" if rated == [title for title, _ in titles] else "rated"
    return f"you {verb} {' and '.join(rated)}"


def terminal_table(table: pl.DataFrame) -> Table:
    """For eighty columns: titles, genres and reasons break over lines."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    names = [column for column in SHOWN if column in table.columns]
    for name in names:
        heading = "" if name == "rank" else name
        shown.add_column(heading, justify="right" if name in NUMBERS else "left", no_wrap=name in (*NUMBERS, "type"))
    places = cells.decimals(table["score"])
    for row in table.select(names).iter_rows(named=True):
        shown.add_row(*(Text(cell(name, value, places)) for name, value in row.items()))
    return shown


def cell(name: str, value: object, places: int) -> str:
    if value is None:
        return cells.MISSING
    if name == "score":
        return f"{value:.{places}f}"
    if isinstance(value, list):
        return ", ".join(value[:GENRES]) + (" …" if len(value) > GENRES else "")
    return str(value)


def write_csv(table: pl.DataFrame, path: Path) -> None:
    with replacing(path) as unfinished:
        table.with_columns(pl.col(pl.List(pl.String)).list.join(", ")).write_csv(unfinished)


def write_json(table: pl.DataFrame, path: Path) -> None:
    """A list with an object a title."""
    with replacing(path) as unfinished:
        table.write_json(unfinished)
