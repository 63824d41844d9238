"""`anirec fanbase`: predict the score and the fans of titles that do not exist yet, from a run folder."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from anirec.config.compose import default_paths
from anirec.data.scale import Scale
from anirec.data.schema import ITEMS, MAL, Column
from anirec.errors import UserError
from anirec.inference.item_shapes import read_objects
from anirec.inference.lists import suggest
from anirec.inference.new_titles.reception import Fanbase, print_fanbases, write_fanbases
from anirec.inference.run_tables import check_model, model_setting, read_titles, run_scale
from anirec.inference.titles.title_search import TitleSearch
from anirec.printable import Console, clean

if TYPE_CHECKING:
    from anirec.models.ratings.hybrid import Hybrid

NOT_PROPERTIES = {"item_id", "published_part"}  # columns of the items table that do not describe a title
OUTCOMES = {"score", "scored_by", "rank", "popularity", "members", "favorites"}
LARGEST = 2**31 - 1  # upper bound of numbers in any column: the largest Int32
UNTITLED = "Untitled"
EXPECTED: Mapping[type[pl.DataType], tuple[tuple[type, ...], str]] = {
    pl.String: ((str,), "a string"),
    pl.List: ((list,), "a list of strings"),
    pl.Date: ((str,), 'a date such as "2026-04-03"'),
    pl.Float32: ((int, float), "a number"),
    pl.Int32: ((int,), "a whole number"),
    pl.Int64: ((int,), "a whole number"),
}


def read_new_titles(path: Path, scale: Scale = MAL) -> pl.DataFrame:
    """Read titles from JSON: one row per title, with `title` and every column of `schema.ITEMS` that one of them sets.

    Args:
        path: A file of titles in anirec's keys or in those of a site; see `item_shapes`.
        scale: That of scores.

    Raises:
        UserError: The file is not such JSON, or has unknown keys or values of the wrong type; lists all problems.
    """
    titles = read_objects(path)
    problems = [
        f"{path}{f', title {number}' if len(titles) > 1 else ''}: {problem}"
        for number, title in enumerate(titles, 1)
        for problem in find_problems(title, scale)
    ]
    if problems:
        raise UserError("\n".join(problems))
    names = ["title", *(name for name in ITEMS if name != "title" and any(name in title for title in titles))]
    columns = {
        name: pl.Series([column_value(title, name) for title in titles], dtype=column_dtype(name)) for name in names
    }
    return pl.DataFrame(columns).with_columns(pl.col("title").fill_null(UNTITLED))


def existing_title(run: Path, name: str) -> pl.DataFrame:
    """Return a title of a run as if it were a new one: its name and what the run's table knows of its content.

    Raises:
        UserError: The name is unknown or not sure.
    """
    items = read_titles(run)
    item = TitleSearch(items).find(name)
    columns = [column for column in ITEMS if column in items.columns and column not in NOT_PROPERTIES | OUTCOMES]
    return items[[item]].select(columns)


def find_problems(title: Mapping[str, Any], scale: Scale = MAL) -> list[str]:
    """Return one message for each unknown key or invalid value of a title."""
    known = [name for name in ITEMS if name not in NOT_PROPERTIES]
    found = []
    for name, value in title.items():
        if name not in known:
            close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            found.append(f"{name}: unknown key; {hint}")
        elif value is not None and not is_valid(value, column := ITEMS[name].on(scale)):
            written = clean(json.dumps(value, ensure_ascii=False))
            found.append(f"{name}: expected {describe_column(column)}, got {written}")
    return found


def is_valid(value: Any, column: Column) -> bool:
    kind = type(column.dtypes[0])
    of_kind: bool = isinstance(value, EXPECTED[kind][0]) and not isinstance(value, bool)
    if not of_kind:
        return False
    if isinstance(value, list):
        return all(isinstance(part, str) and is_unicode(part) for part in value)
    if isinstance(value, str):
        return is_unicode(value) and (kind != pl.Date or parse_date(value) is not None)
    return bool((column.low or 0) <= value <= (column.high or LARGEST))


def is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogates, which JSON can escape."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def describe_column(column: Column) -> str:
    """
    >>> tuple(describe_column(ITEMS[name]) for name in ("genres", "episodes", "score"))
    ('a list of strings', 'a whole number >= 1', 'a number from 1 to 10')
    """
    what = EXPECTED[type(column.dtypes[0])][1]
    if column.low is None:
        return what
    return f"{what} >= {column.low:g}" if column.high is None else f"{what} from {column.low:g} to {column.high:g}"


def column_value(title: Mapping[str, Any], name: str) -> Any:
    value = title.get(name)
    return parse_date(value) if value is not None and column_dtype(name) == pl.Date else value


def parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def column_dtype(name: str) -> pl.DataType:
    return ITEMS[name].dtypes[0]


def add_missing_columns(titles: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Add those of these columns of `schema.ITEMS` that the titles lack, filled with nulls."""
    unknown = {
        name: pl.lit(None, column_dtype(name)) for name in columns if name in ITEMS and name not in titles.columns
    }
    return titles.with_columns(**unknown)


SEED = 0  # of the clustering of users
HYBRID = "anirec.models.ratings.hybrid.Hybrid"
ADVICE = (
    "does not predict ratings of new titles from their content; train a run with model=hybrid model.objective=mse "
    "split=whole_items"
)


def fanbase(
    run: Path,
    *,
    input: Path | None,  # noqa: A002 (the option's name)
    title: str | None = None,
    tastes: int,
    threshold: float | None,
    nearest: int,
    adult: bool,
    json: Path | None = None,
    console: Console | None = None,
) -> None:
    """Print the predicted score and fans of each new title, and optionally write them to a JSON file.

    Args:
        run: Folder of a finished run of model=hybrid.
        input: File of titles; see `read_new_titles`.
        title: Name or #id of a title of the run, to predict instead as if it were new.
        tastes: Number of taste clusters; >= 1.
        threshold: Rating from which a user counts as a fan; None: 8 of 1-10, or the same share of another scale.
        nearest: Number of existing titles to list; >= 0.
        adult: Whether adult titles may be listed.
        json: JSON file to write.
        console: Where to print; default: the terminal.

    Raises:
        UserError: The run does not predict ratings of new titles, or the input is invalid.
    """
    check_run(run)
    if (input is None) == (title is None):
        raise UserError("Set --input FILE for new titles, or --title for one of the run: one of the two.")
    new_titles = read_new_titles(input, run_scale(run)) if input else existing_title(run, str(title))

    import torch

    from anirec.inference.new_titles.audience import Audience
    from anirec.inference.new_titles.tastes import Tastes

    threshold = run_scale(run).liked if threshold is None else threshold
    audience = Audience.from_run(run, threshold)
    model, columns = audience.model, columns_read_by(audience.model)
    known = known_values(model)
    titles = with_known_spelling(add_missing_columns(new_titles, columns), known)
    cache = default_paths()["cache"]
    fanbases = []
    with torch.inference_mode():
        contents = model.content_of(titles, cache=cache)
        found = Tastes.find(audience, tastes, adult=adult, seed=SEED)
        for row, content in zip(titles.select(new_titles.columns).iter_rows(named=True), contents, strict=True):
            rating_u = audience.predict_ratings(content)
            fan_u = audience.fan_probability(rating_u)
            fanbase = Fanbase(
                title=row["title"],
                seen={name: row[name] for name in columns if row.get(name) is not None},
                notes=[*audience.notes, *title_notes(row, columns, known)],
                threshold=threshold,
                score=audience.weighted_mean(rating_u),
                interval=audience.score_interval(rating_u),
                share=audience.weighted_mean(fan_u),
                per_user=(float(rating_u.mean()), float(fan_u.mean())),
                tastes=found.table(rating_u, fan_u),
                nearest=audience.nearest_titles(content, nearest, adult=adult),
            )
            fanbases.append(fanbase)
    if json:
        write_fanbases(fanbases, json)
    print_fanbases(fanbases, console or Console(highlight=False))


def check_run(run: Path) -> None:
    """Raise a UserError if the model of a run does not predict ratings of new titles."""
    check_model(run, HYBRID, ADVICE)
    if (objective := model_setting(run, "objective")) != "mse":
        raise UserError(f"{run}: Hybrid with model.objective={objective} {ADVICE}")


def columns_read_by(model: "Hybrid") -> list[str]:
    """Return the columns of the items table that the model's branches read."""
    return sorted(set().union(*(model.branch(name).requires for name in model.branches)))


def known_values(model: "Hybrid") -> dict[str, list[str]]:
    """Return the values, such as genres, that the model was trained on, by column of names."""
    from anirec.features.tabular import Tabular

    branches = [branch for branch in map(model.branch, model.branches) if isinstance(branch, Tabular)]
    learned = [pair for branch in branches for pair in branch.learned.items()]
    return {column: of_column["names"] for column, of_column in learned if "names" in of_column}


def with_known_spelling(titles: pl.DataFrame, known: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return the titles with values such as "tv" replaced by the known value that differs only in case.

    >>> titles = pl.DataFrame({"type": ["tv"], "genres": [["sci-fi", "Cooking"]]})
    >>> with_known_spelling(titles, {"type": ["TV"], "genres": ["Sci-Fi"]}).row(0)
    ('TV', ['Sci-Fi', 'Cooking'])
    """
    for column, names in known.items():
        spelling = {name.casefold(): name for name in names}
        fixed = [
            [spelling.get(part.casefold(), part) for part in value]
            if isinstance(value, list)
            else value and spelling.get(value.casefold(), value)
            for value in titles[column].to_list()
        ]
        titles = titles.with_columns(pl.Series(column, fixed, dtype=titles.schema[column]))
    return titles


def title_notes(title: Mapping[str, Any], columns: Sequence[str], known: Mapping[str, Sequence[str]]) -> list[str]:
    """Return sentences about missing properties of a title, properties that the run ignores, and unknown values."""
    lacking = [name for name in columns if title.get(name) is None]
    unread = [name for name, value in title.items() if name not in (*columns, "title") and value is not None]
    found = [f"Not given, treated as unknown: {', '.join(lacking)}."] if lacking else []
    if unread:
        found.append(f"Ignored, since this run does not use it: {', '.join(unread)}.")
    for column, names in known.items():
        value = title.get(column)
        parts = value if isinstance(value, list) else [value]
        found += [
            f"Unknown {column}, ignored: {part}{suggest(part, names)}" for part in parts if part and part not in names
        ]
    return found
