"""Predicted reception of a new title, as `anirec fanbase` prints it and writes it to JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.atomic import write_text
from anirec.report import formatting as cells

LEVEL = 0.9  # coverage of the interval around a score
PLACES = 2  # decimals of a rating


@dataclass(frozen=True, kw_only=True)
class Fanbase:
    """Predicted reception of one new title.

    Args:
        title: Name of the title.
        seen: Properties of the title that the model read.
        notes: Caveats, as sentences.
        threshold: Rating from which a user counts as a fan.
        score: Predicted mean rating; users are weighted by their number of ratings.
        interval: Lower and upper end of the interval around the score; None where it cannot be calibrated.
        share: Predicted share of fans, 0 to 1, with the same weights.
        per_user: Score and share with equal weights.
        tastes: users, audience, rating, lift, share, fans, loves; see `Tastes.table`.
        nearest: title, likeness, rating, n_ratings and more; see `Audience.nearest_titles`.
    """

    title: str
    seen: dict[str, Any]
    notes: Sequence[str]
    threshold: float
    score: float
    interval: tuple[float, float] | None
    share: float
    per_user: tuple[float, float]
    tastes: pl.DataFrame
    nearest: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        score, share = self.per_user
        return {
            "title": self.title,
            "seen": self.seen,
            "notes": list(self.notes),
            "score": self.score,
            "interval": None
            if self.interval is None
            else dict(zip(("level", "low", "high"), (LEVEL, *self.interval), strict=True)),
            "threshold": self.threshold,
            "share": self.share,
            "each_user_once": {"score": score, "share": share},
            "tastes": self.tastes.to_dicts(),
            "nearest": self.nearest.to_dicts(),
        }

    def summary(self) -> str:
        score, share = self.per_user
        interval = "" if self.interval is None else f" ({LEVEL:.0%} interval {cells.interval(self.interval, PLACES)})"
        return (
            f"{self.title}\n"
            f"Predicted score: {self.score:.{PLACES}f}{interval}\n"
            f"Predicted share of ratings of {self.threshold:g} or higher: {self.share:.0%}\n"
            f"With equal weight for every user: score {score:.{PLACES}f}, share {share:.0%}"
        )


def print_fanbases(fanbases: Sequence[Fanbase], console: Console) -> None:
    for number, fanbase in enumerate(fanbases):
        parts = [fanbase.summary(), *fanbase.notes, "", tastes_table(fanbase), *nearest_table(fanbase.nearest)]
        for part in ["", *parts] if number else parts:
            console.print(part, markup=False)


def tastes_table(fanbase: Fanbase) -> Table:
    share = f"≥ {fanbase.threshold:g}"
    table = number_table("taste, by the titles it loves", "audience", "score", "lift", share, "fans")
    for row in fanbase.tastes.iter_rows(named=True):
        ratings = (f"{row['rating']:.{PLACES}f}", f"{round(row['lift'], PLACES) + 0.0:+.{PLACES}f}")
        numbers = (f"{row['audience']:.0%}", *ratings, f"{row['share']:.0%}", f"{row['fans']:.0%}")
        table.add_row(Text(" · ".join(row["loves"]) or cells.MISSING), *numbers)
    return table


def nearest_table(nearest: pl.DataFrame) -> list[str | Table]:
    """Return an empty line and the table; an empty list without titles."""
    if not len(nearest):
        return []
    table = number_table("nearest existing titles", "similarity", "score", "ratings")
    for row in nearest.iter_rows(named=True):
        n_ratings = cells.MISSING if row["n_ratings"] is None else f"{row['n_ratings']:,}"
        numbers = (f"{row['likeness']:.2f}", cells.number(row["rating"], PLACES), n_ratings)
        table.add_row(Text(row["title"]), *numbers)
    return ["", table]


def number_table(first: str, *numbers: str) -> Table:
    """Return an empty table with a column of text and columns of numbers that never wrap."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def write_fanbases(fanbases: Sequence[Fanbase], path: Path) -> None:
    """Write a JSON list with one object per title."""
    text = json.dumps([fanbase.to_json() for fanbase in fanbases], ensure_ascii=False, indent=2, default=str)
    write_text(path, f"{text}\n")
