"""`anirec fanbase`: who would love a title that does not exist yet? From the run folder."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl
import torch
from rich.console import Console

from anirec.config.compose import default_paths
from anirec.data.schema import ITEMS, Column
from anirec.errors import UserError
from anirec.features.tabular import Tabular
from anirec.inference.audience import Audience, tastes_of
from anirec.inference.tables import Fanbase, show, write_fanbase
from anirec.models.ratings.hybrid import Hybrid

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


SEED = 0  # of the tastes


def fanbase(
    run: Path,
    *,
    input: Path,  # noqa: A002 (the option's name)
    tastes: int,
    threshold: float,
    nearest: int,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print what to expect of each invented title, and write it where asked.

    Args:
        run: Folder of a finished run of model=hybrid.
        input: The titles; see `read_invented`.
        tastes: Into how many the users are divided; >= 1.
        threshold: Rating from which somebody counts as a fan.
        nearest: How many existing titles are named; >= 0.
        json: File to write.
        console: Where to print.

    Raises:
        UserError: The run cannot judge such titles, or the input is not what is expected.
    """
    invented = read_invented(input)
    audience = Audience.of(run, threshold)
    model, columns = audience.model, read_by(audience.model)
    cache = default_paths()["cache"]
    told = []
    with torch.inference_mode():
        contents = model.content_of(with_all(invented, columns), cache=cache)
        taste_u = tastes_of(model.user_table[:-1].numpy(), tastes, seed=SEED)
        loves = audience.loves(taste_u, tastes)
        for title, content in zip(invented.iter_rows(named=True), contents, strict=True):
            rating_u = model.predict_unrated_title(content).numpy()
            chance_u = audience.chances(rating_u)
            fans = Fanbase(
                title=title["title"],
                seen={name: title[name] for name in columns if title.get(name) is not None},
                notes=[*audience.notes, *notes(model, title, columns)],
                threshold=threshold,
                score=audience.mean(rating_u),
                ends=audience.ends(rating_u),
                share=audience.mean(chance_u),
                per_user=(float(rating_u.mean()), float(chance_u.mean())),
                tastes=audience.by_taste(taste_u, loves, rating_u, chance_u),
                nearest=audience.nearest(content, nearest),
            )
            told.append(fans)
    if json:
        write_fanbase(told, json)
    show(told, console or Console(highlight=False))


def read_by(model: Hybrid) -> list[str]:
    """The columns of the items table that the model's branches read."""
    return sorted(set().union(*(model.branch(name).requires for name in model.branches)))


def notes(model: Hybrid, title: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """What is unknown of a title, what the run does not read, and what says nothing to it."""
    lacking = [name for name in columns if title.get(name) is None]
    unread = [name for name, value in title.items() if name not in (*columns, "title") and value is not None]
    found = [f"Unknown, and so left open: {', '.join(lacking)}."] if lacking else []
    if unread:
        found.append(f"Not read by this run: {', '.join(unread)}.")
    for branch in (model.branch(name) for name in model.branches):
        for column, of_column in branch.learned.items() if isinstance(branch, Tabular) else ():
            value = title.get(column)
            parts = value if isinstance(value, list) else [value]
            found += [unmet(column, part, of_column["names"]) for part in parts if "names" in of_column and part]
    return [note for note in found if note]


def unmet(column: str, name: str, met: Sequence[str]) -> str:
    """What to say of a name that the model has not met in training; nothing of others.

    >>> unmet("type", "tv", ["Movie", "TV"])
    'type: tv says nothing to the model, which has not met it; did you mean TV?'
    """
    if name in met:
        return ""
    close = [other for other in met if other.casefold() == name.casefold()] or get_close_matches(name, met, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"{column}: {name} says nothing to the model, which has not met it{hint}"
