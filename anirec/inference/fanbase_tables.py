"""What to expect of a title that does not exist yet: as tables on the terminal, or JSON."""

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
from anirec.report import numbers as cells

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


def write_json(told: Sequence[Fanbase], path: Path) -> None:
    """A list with an object a title."""
    text = json.dumps([fanbase.plain() for fanbase in told], ensure_ascii=False, indent=2, default=str)
    write_text(path, f"{text}\n")
