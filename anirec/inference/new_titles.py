"""Titles that do not exist yet, as somebody writes them down: checked against what an items table may hold.

{"title": "Paper Kingdom", "type": "TV", "genres": ["Comedy", "School"], "aired_from": "2026-04-03"}
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from anirec.data.schema import ITEMS, Column
from anirec.errors import UserError

UNASKED = {"item_id", "published_part"}  # columns that say nothing of a title
LARGEST = 2**31 - 1  # number in any column
UNTITLED = "Untitled"
EXPECTED: Mapping[type[pl.DataType], tuple[tuple[type, ...], str]] = {
    pl.String: ((str,), "text"),
    pl.List: ((list,), "a list of texts"),
    pl.Date: ((str,), 'a date such as "2026-04-03"'),
    pl.Float32: ((int, float), "a number"),
    pl.Int32: ((int,), "a whole number"),
    pl.Int64: ((int,), "a whole number"),
}


def read_invented(path: Path) -> pl.DataFrame:
    """One row a title, with `title` and the columns of `tables.ITEMS` that at least one of them names.

    Args:
        path: An object, a list of them, or (.jsonl) one a line.

    Raises:
        UserError: It is no such file, or names what no items table has or of another kind; all of it is told at once.
    """
    titles = objects(path)
    problems = [
        f"{path}{f', title {place}' if len(titles) > 1 else ''}: {problem}"
        for place, title in enumerate(titles, 1)
        for problem in problems_of(title)
    ]
    if problems:
        raise UserError("\n".join(problems))
    names = ["title", *(name for name in ITEMS if name != "title" and any(name in title for title in titles))]
    columns = {name: pl.Series([value_of(title, name) for title in titles], dtype=dtype(name)) for name in names}
    return pl.DataFrame(columns).with_columns(pl.col("title").fill_null(UNTITLED))


def objects(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.split("\n") if line.strip()]
        found = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    titles = found if isinstance(found, list) else [found]
    if not titles or not all(isinstance(title, dict) for title in titles):
        raise UserError(f'{path}: expected an object such as {{"genres": ["Comedy", "School"], "type": "TV"}}, or more')
    return titles


def problems_of(title: Mapping[str, Any]) -> list[str]:
    """What is wrong with one title, each in a sentence."""
    known = [name for name in ITEMS if name not in UNASKED]
    found = []
    for name, value in title.items():
        if name not in known:
            close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            found.append(f"{name}: no such key; {hint}")
        elif value is not None and not fits(value, ITEMS[name]):
            found.append(f"{name}: {json.dumps(value, ensure_ascii=False)} is not {expected(ITEMS[name])}")
    return found


def fits(value: Any, column: Column) -> bool:
    kind = type(column.dtypes[0])
    of_kind: bool = isinstance(value, EXPECTED[kind][0]) and not isinstance(value, bool)
    if not of_kind:
        return False
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    if isinstance(value, str):
        return kind != pl.Date or day(value) is not None
    return bool((column.low or 0) <= value <= (column.high or LARGEST))


def expected(column: Column) -> str:
    """
    >>> expected(ITEMS["genres"]), expected(ITEMS["episodes"]), expected(ITEMS["score"])
    ('a list of texts', 'a whole number >= 1', 'a number from 1 to 10')
    """
    what = EXPECTED[type(column.dtypes[0])][1]
    if column.low is None:
        return what
    return f"{what} >= {column.low:g}" if column.high is None else f"{what} from {column.low:g} to {column.high:g}"


def value_of(title: Mapping[str, Any], name: str) -> Any:
    value = title.get(name)
    return day(value) if value is not None and dtype(name) == pl.Date else value


def day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def dtype(name: str) -> pl.DataType:
    return ITEMS[name].dtypes[0]


def with_all(titles: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """With these columns of `tables.ITEMS` too, unknown where they were not there."""
    unknown = {name: pl.lit(None, dtype(name)) for name in columns if name in ITEMS and name not in titles.columns}
    return titles.with_columns(**unknown)
