"""Rows of a file to predict: those that are written again with the predictions, and the columns that a model reads.

The model's columns are read as text, so that an id "007" stays one, and are then converted as in the dumps: "Unknown"
is no number of episodes, and a placeholder is no synopsis. Other columns may hold anything.
"""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from anirec.data.readers.cells import CellParser, to_integer
from anirec.data.readers.list_cells import parse_names
from anirec.data.schema import ITEMS
from anirec.errors import UserError
from anirec.inference.item_shapes import read_objects
from anirec.inference.new_users.own_list import is_searchable
from anirec.inference.run_tables import read_titles
from anirec.inference.titles.title_search import TitleSearch

IDS = ("user_id", "item_id")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
WHOLE_FILE = None  # rows that decide the types of columns: all, so that an "Unknown" makes a column of text
TYPES = {name: column.dtypes[0] for name, column in ITEMS.items()} | {"n_main_characters": pl.Int32()}


def read_rows(path: Path) -> pl.DataFrame:
    """Return all columns of a .csv, .jsonl or .parquet file.

    Raises:
        UserError: The file cannot be read, or has no rows.
    """
    try:
        rows = READERS[path.suffix](path)
    except (OSError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not len(rows):
        raise UserError(f"{path}: the file has no rows")
    return rows


def read_csv(path: Path, **options: Any) -> pl.DataFrame:
    """Return a CSV file, in UTF-8, or in UTF-16 with a byte order mark."""
    with path.open("rb") as file:
        is_utf16 = file.read(2) in UTF16
    content = path.read_bytes().decode("utf-16", errors="replace").encode() if is_utf16 else path
    return pl.read_csv(content, glob=False, **options)


def read_json_lines(path: Path) -> pl.DataFrame:
    """Return a file of JSON lines; titles as sites describe them in anirec's keys."""
    rows = pl.read_ndjson(path, infer_schema_length=WHOLE_FILE)
    of_site = (
        "attributes" in rows.columns or "mal_id" in rows.columns or isinstance(rows.schema.get("title"), pl.Struct)
    )
    return table_of(read_objects(path)) if of_site else rows


def table_of(titles: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.from_dicts(titles, infer_schema_length=WHOLE_FILE)


def with_item_ids(run: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows without item_id with the ids of their titles, null for a title that is unknown or not sure."""
    search = TitleSearch(read_titles(run))
    titles = rows["title"].cast(pl.String)
    names = [title for title in titles.unique(maintain_order=True) if title is not None and is_searchable(title)]
    ids = search.items["item_id"]
    found = [None if match.item is None else ids[match.item] for match in search.match_all(names)]
    known = pl.DataFrame(
        {"title": names, "item_id": pl.Series(found, dtype=ids.dtype)}, schema_overrides={"title": pl.String}
    )
    return rows.with_columns(
        item_id=titles.to_frame().join(known, on="title", how="left", maintain_order="left")["item_id"]
    )


def model_rows(path: Path, rows: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """Return the rows with those of the columns that a model reads in the types that it expects.

    Args:
        path: The file.
        rows: Its rows; see `read_rows`.
        columns: The columns that the model reads.

    Raises:
        UserError: A cell of such a column cannot be read.
    """
    used = [column for column in rows.columns if column in columns]
    if path.suffix == ".csv" and used:
        rows = rows.with_columns(read_csv(path, columns=used, infer_schema=False))
    return rows.with_columns(convert(rows[column]) for column in used if column not in IDS)


def convert(values: pl.Series) -> pl.Series:
    """Return the values of a column of `schema.ITEMS` in its type; other columns and types are unchanged.

    >>> convert(pl.Series("episodes", ["26", "Unknown", None])).to_list()
    [26, None, None]
    >>> convert(pl.Series("genres", ["Comedy, School"])).to_list()
    [['Comedy', 'School']]

    Raises:
        UserError: A cell cannot be read.
    """
    expected = TYPES.get(values.name, pl.String())
    if values.dtype != pl.String or expected == pl.String():
        return values
    parser = CellParser(values.name, partial(read_cells, dtype=expected, name=values.name), "")
    cells = values.str.strip_chars().to_frame().select(text=parser.text())
    cells = cells.with_columns(value=parser.read(pl.col("text")))
    broken = cells.with_row_index("row", offset=1).filter(pl.col("text").is_not_null() & pl.col("value").is_null())
    if len(broken):
        row, text, _ = broken.row(0)
        raise UserError(f"column {values.name}, row {row}: {text!r} is no {describe(expected)}")
    return cells["value"].alias(values.name)


def read_cells(text: pl.Expr, *, dtype: pl.DataType, name: str) -> pl.Expr:
    if dtype == pl.List(pl.String):
        return parse_names(name).read(text)
    if dtype == pl.Date():
        return text.str.to_date(strict=False)
    if dtype.is_integer():
        return to_integer(text, low=0).cast(dtype, strict=False)
    return text.cast(dtype, strict=False)


def describe(dtype: pl.DataType) -> str:
    if dtype == pl.Date():
        return "date such as 2026-04-03"
    return "whole number" if dtype.is_integer() else "number"


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda path: read_csv(path, infer_schema_length=WHOLE_FILE),
    ".json": lambda path: table_of(read_objects(path)),
    ".jsonl": read_json_lines,
    ".parquet": partial(pl.read_parquet, glob=False),
}
