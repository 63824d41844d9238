"""Recommendation lists as tables, and their output: terminal, CSV and JSON."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.atomic import replacing
from anirec.report import formatting as cells

COLUMNS = (
    *("item_id", "title", "title_english", "type", "year", "genres", "episodes", "n_ratings", "rating"),
    *("reason", "url"),
)
SHOWN = ("rank", "title", "type", "year", "rating", "reason")  # on the terminal
HEADINGS = {"rank": ""}
WIDTHS = {"rank": 3, "type": 7, "year": 4, "rating": 6}  # of all columns but title and reason, which share the rest
TITLE_SHARE = 0.55  # of the rest
MAX_GENRES = 3  # below a title
MAX_LINES = 2  # of a title or a reason
PADDING = 2  # between two columns
PLANNED = "On your watchlist. "


def recommendations(
    items: pl.DataFrame,
    ratings: NDArray[np.floating] | None,
    reasons: Sequence[Sequence[tuple[str, float]]],
    is_planned: Sequence[bool] | NDArray[np.bool_],
) -> pl.DataFrame:
    """Return the recommendation list as a table with the columns `rank` and `COLUMNS`.

    Args:
        items: The recommended titles, best first.
        ratings: The predicted rating of each title; None if the model ranks by other scores.
        reasons: For each title, the titles and ratings (NaN if unrated) from the history that explain it.
        is_planned: Whether each title is on the person's plan-to-watch list.
    """
    of_others = "Popular with everyone" if ratings is None else "Rated highly by others"
    texts = [
        reason_text(titles) or f"{of_others} ({n:,} rating{'s' * (n != 1)})"
        for titles, n in zip(reasons, items["n_ratings"].to_list(), strict=True)
    ]
    texts = [PLANNED + text if planned else text for text, planned in zip(texts, is_planned, strict=True)]
    table = items.with_columns(reason=pl.Series(texts, dtype=pl.String))
    if ratings is not None:
        table = table.with_columns(rating=pl.Series(ratings))
    table = table.select([column for column in COLUMNS if column in table.columns])
    return table.with_row_index("rank", offset=1)


def reason_text(titles: Sequence[tuple[str, float]]) -> str:
    """Return a sentence that names the titles of a history that explain a recommendation.

    >>> reason_text([("Monster", float("nan")), ("Mob Psycho 100", 9.5)])
    'You rated Mob Psycho 100 (9.5) and know Monster'
    >>> reason_text([("Monster", 10.0), ("Mushishi", 9.5)]), reason_text([])
    ('You rated Monster (10) and Mushishi (9.5)', '')
    """
    rated = [f"{title} ({rating:g})" for title, rating in titles if not isnan(rating)]
    known = [title for title, rating in titles if isnan(rating)]
    parts = [f"{verb} {' and '.join(names)}" for verb, names in (("rated", rated), ("know", known)) if names]
    return f"You {' and '.join(parts)}" if parts else ""


def print_list(recommended: pl.DataFrame, console: Console) -> None:
    """Print the list of `recommendations` in the width of the terminal.

    English title and genres are below a title, which is a link to its page if the data have one. Long titles and
    reasons are shortened.
    """
    names = [column for column in SHOWN if column in recommended.columns]
    rest = console.width - sum(WIDTHS.get(name, 0) + PADDING for name in names) + PADDING
    title_width = max(8, int(TITLE_SHARE * rest))
    widths = {**WIDTHS, "title": title_width, "reason": max(8, rest - title_width)}
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, PADDING - 1, 0, 0))
    for name in names:
        table.add_column(
            HEADINGS.get(name, name),
            justify="right" if name in ("rank", "year", "rating") else "left",
            no_wrap=True,
            width=widths[name],
        )
    for row in recommended.iter_rows(named=True):
        texts = {**{name: Text(format_cell(row[name])) for name in names}, "title": title_cell(row, title_width)}
        texts["reason"] = shorten_lines(Text(row["reason"]), widths["reason"], console)
        table.add_row(*(texts[name] for name in names))
    console.print(table)


def title_cell(row: dict[str, object], width: int) -> Text:
    """Return the title of a row, and below it the English title, if it differs, and the genres."""
    title, english, genres = (row.get(name) for name in ("title", "title_english", "genres"))
    below = [str(english)] if english and english != title else []
    if isinstance(genres, list) and genres:
        below.append(", ".join(genres[:MAX_GENRES]))
    lines = [Text(str(title), style=f"link {row['url']}" if row.get("url") else "")]
    lines += [Text(" · ".join(below), style="dim")] if below else []
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def shorten_lines(text: Text, width: int, console: Console) -> Text:
    """Wrap a text into at most `MAX_LINES` lines; the last ends in an ellipsis if there is more."""
    lines = [line.plain.rstrip() for line in text.wrap(console, width)]
    last = Text(" ".join(lines[MAX_LINES - 1 :]))
    last.truncate(width, overflow="ellipsis")
    return Text("\n".join([*lines[: MAX_LINES - 1], last.plain]).rstrip())


def format_cell(value: object) -> str:
    """
    >>> format_cell(None), format_cell(8.123), format_cell(2013)
    ('-', '8.12', '2013')
    """
    if value is None:
        return cells.MISSING
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_csv(table: pl.DataFrame, path: Path) -> None:
    with replacing(path) as unfinished:
        table.with_columns(pl.col(pl.List(pl.String)).list.join(", ")).write_csv(unfinished)


def write_json(table: pl.DataFrame, path: Path) -> None:
    """Write a JSON list with one object per title."""
    with replacing(path) as unfinished:
        table.write_json(unfinished)
