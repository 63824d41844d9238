"""Tolerant reading of a dump's large text files: lazily, one record a line.

Every line that is not blank becomes a row, and a row that cannot be read says why. Cells stay text, stripped:

    file        line  reason                text    user_id  anime_id  rating
    rating.csv  2     null                  1,20,8  "1"      "20"      "8"
    rating.csv  3     "not 3 fields"        1,24    "1"      "24"      null

Lines are split before quotes are looked at: a stray quote costs one line, not the rest of the file, and line numbers
are exact.
"""

import csv
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import polars as pl

from anirec.data.readers.cells import BETWEEN
from anirec.data.readers.layout import BROKEN, LONGEST_TEXT, NOT_UTF8, Head, Layout, recognise
from anirec.errors import UserError

BLOCK = 1 << 24  # bytes


def scan(path: Path, layout: Layout) -> pl.LazyFrame:
    """Rows of a file that has one record a line: marks file, line, reason and text, then the layout's columns as text.

    Args:
        path: The file; of any size, read as a stream.
        layout: How it is laid out.

    Raises:
        UserError: As `recognise`.
    """
    head = recognise(path, layout)
    rows = split(lines(path).filter(pl.col("line") >= head.first_line), head, layout, quotes=has_quotes(path))
    broken = pl.when(pl.col("text").str.contains(BROKEN, literal=True)).then(pl.lit(NOT_UTF8))
    reason = broken.when(~has_width(head, layout)).then(pl.lit(head.misfit(layout))).alias("reason")
    text = pl.col("text").str.slice(0, LONGEST_TEXT)
    cells = [cell(name, head, layout) for name in layout.header]
    return rows.select(pl.lit(path.name).alias("file"), "line", reason, text, *cells)


def scan_parquet(path: Path, columns: Mapping[str, str]) -> pl.LazyFrame:
    """The same rows out of a parquet file; `line` is the number of the row.

    Args:
        path: The file.
        columns: Names to give, and the file's names.

    Raises:
        UserError: The file lacks some of the columns.
    """
    rows = pl.scan_parquet(path, glob=False)
    absent = set(columns.values()) - set(rows.collect_schema())
    if absent:
        raise UserError(f"{path} lacks the columns {', '.join(sorted(absent))}. Is it the file of another dump?")
    # As in a text file: what is not there is an empty cell.
    cells = {name: pl.col(column).cast(pl.String).str.strip_chars().fill_null("") for name, column in columns.items()}
    rows = rows.select(**cells).with_row_index("line", offset=1).with_columns(pl.col("line").cast(pl.Int64))
    text = pl.concat_str(list(cells), separator=",").str.slice(0, LONGEST_TEXT)
    reason = pl.lit(None, pl.String).alias("reason")
    return rows.select(pl.lit(path.name).alias("file"), "line", reason, text.alias("text"), *cells)


def lines(path: Path) -> pl.LazyFrame:
    """Columns line (1-based) and text of every line that is not blank. A byte order mark is taken off."""
    # A separator that no dump contains, and no quoting: the CSV reader reads lines, and survives broken UTF-8.
    rows = pl.scan_csv(
        path,
        has_header=False,
        separator="\x01",
        quote_char=None,
        schema={"text": pl.String},
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        row_index_name="line",
        row_index_offset=1,
        glob=False,
    )
    rows = rows.select(pl.col("line").cast(pl.Int64), pl.col("text").str.strip_chars_end("\r"))
    return rows.filter(pl.col("text").str.strip_chars() != "")


def has_quotes(path: Path) -> bool:
    """Whether a file holds any quote; 2 GB take a second or two."""
    with path.open("rb") as file:
        return any(b'"' in block for block in iter(partial(file.read, BLOCK), b""))


def split(rows: pl.LazyFrame, head: Head, layout: Layout, *, quotes: bool) -> pl.LazyFrame:
    """Add `fields`, a struct: the line's first fields, and in the last place whatever is left of it."""
    if not quotes:
        return rows.with_columns(fields=pl.col("text").str.splitn(head.separator, head.width(layout) + 1))

    def unquote(lines: pl.Series) -> pl.Series:
        records = [BETWEEN.join(fields) for fields in parse(lines.drop_nulls().to_list(), head.separator)]
        nothing = pl.Series(lines.name, [None], pl.String).new_from_index(0, len(lines))
        return nothing.scatter(lines.is_not_null().arg_true(), records)

    # Quotes are few: only their lines go through Python, which knows all about them.
    has_quote = pl.col("text").str.contains('"', literal=True)
    plain = pl.col("text").str.replace_all(head.separator, BETWEEN, literal=True)
    quoted = pl.when(has_quote).then(pl.col("text")).map_batches(unquote, return_dtype=pl.String, is_elementwise=True)
    rows = rows.with_columns(fields=pl.coalesce(quoted, plain))
    return rows.with_columns(pl.col("fields").str.splitn(BETWEEN, head.width(layout) + 1))


def parse(lines: list[str], separator: str) -> list[list[str]]:
    """The fields of each line.

    A last field whose quote is not closed goes on in the next line (a tag with a line break); what stands before it is
    good.
    """
    with suppress(csv.Error):
        together = list(csv.reader(lines, delimiter=separator))
        if len(together) == len(lines):
            return together
    # An open quote has swallowed the lines behind it. Apart, they cannot.
    return [parse_one(line, separator) for line in lines]


def parse_one(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return [line]


def nth(place: int) -> pl.Expr:
    return pl.col("fields").struct.field(f"field_{place}")


def has_width(head: Head, layout: Layout) -> pl.Expr:
    """Whether a line has as many fields as it must."""
    width = head.width(layout)
    enough = nth(width - 1).is_not_null()
    return enough if layout.ragged else enough & nth(width).is_null()


def cell(name: str, head: Head, layout: Layout) -> pl.Expr:
    """The stripped text of a column; null where the file, or the line, does not have it."""
    names = head.names[: head.width(layout)]
    text = nth(names.index(name)).str.strip_chars() if name in names else pl.lit(None, pl.String)
    return (text.str.replace(",", ".", literal=True) if head.has_comma(name, layout) else text).alias(name)
