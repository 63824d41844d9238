"""A list of recommendations: as a table on the terminal, as CSV or JSON.

One row: rank 3, item 329, "Planetes", TV, 2003, ["Drama", "Sci-Fi"], score 0.41, because you rated Cowboy Bebop 9.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from anirec.atomic import replacing
from anirec.report import numbers as cells

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
