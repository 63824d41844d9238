"""Tolerant reading of a dump's small text files (thousands of titles), whose quoted cells may hold line breaks.

The same rows as `anirec.data.readers.lines.scan`: marks file, line, reason, text, then the cells as text.
"""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from anirec.data.readers.layout import BROKEN, LONGEST_TEXT, NOT_UTF8, Head, Layout, recognise

LONGEST_RECORD = 500  # lines; a quote left open for longer is a mistake, not a synopsis


def read(path: Path, layout: Layout) -> pl.LazyFrame:
    """Rows of a file that fits in memory.

    Raises:
        UserError: As `anirec.data.readers.layout.recognise`.
    """
    head = recognise(path, layout)
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        lines = list(file)
    columns = ["line", "reason", "text", *layout.header]
    rows = [
        (number, reason, text, *cells_of(values, head, layout))
        for number, reason, text, values in records(lines, head, layout)
    ]
    schema = {"line": pl.Int64, **dict.fromkeys(columns[1:], pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").lazy()
    return table.select(pl.lit(path.name).alias("file"), *columns)


def cells_of(values: list[str] | None, head: Head, layout: Layout) -> list[str | None]:
    by_name = dict(zip(head.names, (value.strip() for value in values or ()), strict=False))
    for name in layout.decimals:
        if name in by_name and head.has_comma(name, layout):
            by_name[name] = by_name[name].replace(",", ".", 1)
    return [by_name.get(name) for name in layout.header]


def records(
    lines: list[str], head: Head, layout: Layout
) -> Iterator[tuple[int, str | None, str | None, list[str] | None]]:
    """Line number, reason, text and cells of each record; reason and text are None where the cells could be read."""
    place = head.first_line - 1
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        values, length = record(lines, place, head, layout)
        text = "".join(lines[place : place + length])
        reason = NOT_UTF8 if BROKEN in text else None if values else head.misfit(layout)
        yield place + 1, reason, text.rstrip("\r\n")[:LONGEST_TEXT] if reason else None, values
        place += length


def record(lines: list[str], place: int, head: Head, layout: Layout) -> tuple[list[str] | None, int]:
    """The cells of the record that starts at `place` and its length in lines; (None, 1) if it cannot be read.

    Reading then goes on with the next line, so an open quote costs its own line only.
    """
    quotes = 0
    for length, line in enumerate(islice(lines, place, place + LONGEST_RECORD), 1):
        quotes += line.count('"')
        # Quotes come in pairs in a whole record; but a lone one inside an unquoted cell (5" tape) is harmless.
        if length > 1 and quotes % 2:
            continue
        values = parse(lines[place : place + length], head.separator)
        if values and fits(len(values), head, layout):
            return values, length
        if quotes % 2 == 0:
            break
    return None, 1


def parse(lines: list[str], separator: str) -> list[str] | None:
    """The cells of one whole record, or None where quotes are not closed or do not stand at a cell's ends."""
    try:
        rows = list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def fits(n_fields: int, head: Head, layout: Layout) -> bool:
    width = head.width(layout)
    return n_fields >= width if layout.ragged else n_fields == width
