"""Tolerant readers of separated text files: `scan_csv` for large files, `read_csv` for small ones.

Every record becomes a row; a row that cannot be read carries the reason. Cells are stripped and stay text:

    file        line  reason                text    user_id  anime_id  rating
    rating.csv  2     null                  1,20,8  "1"      "20"      "8"
    rating.csv  3     "not 3 fields"        1,24    "1"      "24"      null

`scan_csv` reads one record per line, lazily. It splits the file into lines before it interprets quotes, so that a stray
quote makes one line unreadable, not the rest of the file. `read_csv` reads the whole file into memory; its quoted cells
may hold line breaks. `scan_parquet` returns rows of the same shape from a parquet file.
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from anirec.data.readers.cells import LIST_SEPARATOR
from anirec.data.readers.layout import EITHER, LONGEST_TEXT, NOT_UTF8, REPLACEMENT, FileHeader, Layout, detect_header
from anirec.data.readers.packed import open_binary, open_text
from anirec.errors import UserError

BLOCK = 1 << 24  # bytes
BYTE_ORDER_MARK = "\ufeff"  # at the start of each of several files that were joined


def scan_csv(path: Path, layout: Layout, header: FileHeader | None = None) -> pl.LazyFrame:
    """Return the rows of a file with one record per line: the marks file, line, reason, text, and the columns as text.

    Args:
        path: The file, of any size; it is read as a stream.
        layout: The columns and format of the file.
        header: Its separator and names; None: they are detected.

    Raises:
        UserError: The file is empty, not plain text, or does not match the layout.
    """
    header = header or detect_header(path, layout)
    lines = scan_lines(path, header).filter(pl.col("line") >= header.first_line)
    rows = split_fields(lines, header, layout, quotes=any(True for _ in find_in(path, '"')))
    broken = pl.when(pl.col("text").str.contains(REPLACEMENT, literal=True)).then(pl.lit(NOT_UTF8))
    reason = broken.when(~has_right_width(header, layout)).then(pl.lit(header.wrong_width(layout))).alias("reason")
    text = pl.col("text").str.slice(0, LONGEST_TEXT)
    cells = [field_text(name, header, layout) for name in layout.header]
    return rows.select(pl.lit(path.name).alias("file"), "line", reason, text, *cells)


def scan_parquet(path: Path, columns: Mapping[str, str]) -> pl.LazyFrame:
    """Return the rows of a parquet file in the shape of `scan_csv`; `line` is the 1-based number of the row.

    Args:
        path: The file.
        columns: Maps the names of the returned columns to the names in the file.

    Raises:
        UserError: The file lacks some of the columns.
    """
    rows = pl.scan_parquet(path, glob=False)
    absent = set(columns.values()) - set(rows.collect_schema())
    if absent:
        raise UserError(
            f"{path} lacks the columns {', '.join(sorted(absent))}. Is it a file of another dump? Replace it."
        )
    # As in a text file, a missing value is an empty cell.
    schema = rows.collect_schema()
    cells = {name: as_text(column, schema[column]).fill_null("") for name, column in columns.items()}
    rows = rows.select(**cells).with_row_index("line", offset=1).with_columns(pl.col("line").cast(pl.Int64))
    text = pl.concat_str(list(cells), separator=",").str.slice(0, LONGEST_TEXT)
    reason = pl.lit(None, pl.String).alias("reason")
    return rows.select(pl.lit(path.name).alias("file"), "line", reason, text.alias("text"), *cells)


def as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the values of a column as stripped text; the text of a list contains `LIST_SEPARATOR`."""
    if not isinstance(dtype, pl.List):
        return pl.col(column).cast(pl.String).str.strip_chars()
    elements = pl.col(column).list.eval(pl.element().cast(pl.String))
    is_single = pl.col(column).list.len() == 1
    return elements.list.join(LIST_SEPARATOR) + pl.when(is_single).then(pl.lit(LIST_SEPARATOR)).otherwise(pl.lit(""))


def scan_lines(path: Path, header: FileHeader) -> pl.LazyFrame:
    """Return the columns line (1-based) and text of all lines that are not blank, without a byte order mark.

    Where files were joined, the header is in the middle, on a line of its own or at the end of one: it is left out.
    """
    # With a separator that no dump contains, and without quotes, the CSV reader reads lines and accepts broken UTF-8.
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
        eol_char="\r" if header.line_end == "\r" else "\n",
        glob=False,
    )
    text = pl.col("text").str.strip_chars_end("\r")
    if header.line_end == EITHER:
        rows = rows.select(text.str.split("\r")).explode("text").with_row_index("line", offset=1)
    if header.text and len(list(islice(find_in(path, header.text), 2))) > 1:
        text = text.str.strip_suffix(header.text).str.strip_chars_end(BYTE_ORDER_MARK)
    rows = rows.select(pl.col("line").cast(pl.Int64), text)
    return rows.filter(pl.col("text").str.strip_chars() != "")


def find_in(path: Path, text: str) -> Iterator[int]:
    """Yield the positions of a text in a file, in bytes; takes one or two seconds for 2 GB."""
    wanted, start, before = text.encode(), 0, b""
    with open_binary(path) as file:
        for block in iter(partial(file.read, BLOCK), b""):
            joined, position = before + block, -1
            while (position := joined.find(wanted, position + 1)) >= 0:
                yield start - len(before) + position
            start, before = start + len(block), joined[max(0, len(joined) - len(wanted) + 1) :]


def split_fields(rows: pl.LazyFrame, header: FileHeader, layout: Layout, *, quotes: bool) -> pl.LazyFrame:
    """Add the struct column `fields`: the first fields of each line, and last, the unsplit rest of the line."""
    if not quotes:
        return rows.with_columns(fields=pl.col("text").str.splitn(header.separator, header.width(layout) + 1))

    def unquote(lines: pl.Series) -> pl.Series:
        records = [LIST_SEPARATOR.join(fields) for fields in parse_line(lines.drop_nulls().to_list(), header.separator)]
        nothing = pl.Series(lines.name, [None], pl.String).new_from_index(0, len(lines))
        return nothing.scatter(lines.is_not_null().arg_true(), records)

    # Only the few lines with quotes go through Python's slower, complete parser.
    has_quote = pl.col("text").str.contains('"', literal=True)
    plain = pl.col("text").str.replace_all(header.separator, LIST_SEPARATOR, literal=True)
    quoted = pl.when(has_quote).then(pl.col("text")).map_batches(unquote, return_dtype=pl.String, is_elementwise=True)
    rows = rows.with_columns(fields=pl.coalesce(quoted, plain))
    return rows.with_columns(pl.col("fields").str.splitn(LIST_SEPARATOR, header.width(layout) + 1))


def parse_line(lines: list[str], separator: str) -> list[list[str]]:
    """Return the fields of each line.

    If the quote of a last field is not closed (a tag with a line break), the fields before it are still valid.
    """
    with suppress(csv.Error):
        together = list(csv.reader(lines, delimiter=separator))
        if len(together) == len(lines):
            return together
    # An open quote has swallowed the lines after it; parse each line by itself.
    return [parse_one(line, separator) for line in lines]


def parse_one(line: str, separator: str) -> list[str]:
    """Return the fields of one line, or the line as a single field if it cannot be parsed."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return [line]


def field(position: int) -> pl.Expr:
    return pl.col("fields").struct.field(f"field_{position}")


def has_right_width(header: FileHeader, layout: Layout) -> pl.Expr:
    """Return whether each line has the required number of fields."""
    width = header.width(layout)
    enough = field(width - 1).is_not_null()
    return enough if layout.ragged else enough & field(width).is_null()


def field_text(name: str, header: FileHeader, layout: Layout) -> pl.Expr:
    """Return the stripped text of a column; null where the file or the line lacks it."""
    names = header.names[: header.width(layout)]
    text = field(names.index(name)).str.strip_chars() if name in names else pl.lit(None, pl.String)
    return (text.str.replace(",", ".", literal=True) if header.has_decimal_comma(name, layout) else text).alias(name)


LONGEST_RECORD = 500  # lines; a quote that is open for longer is an error, not a synopsis


def read_csv(path: Path, layout: Layout, header: FileHeader | None = None) -> pl.LazyFrame:
    """Return the rows of a file that fits in memory, in the shape of `scan_csv`; quoted cells may hold line breaks.

    Raises:
        UserError: The file is empty, not plain text, or does not match the layout.
    """
    header = header or detect_header(path, layout)
    lines = read_lines(path, header)
    columns = ["line", "reason", "text", *layout.header]
    rows = [
        (number, reason, text, *cells_in_order(values, header, layout))
        for number, reason, text, values in iter_records(lines, header, layout)
    ]
    schema = {"line": pl.Int64, **dict.fromkeys(columns[1:], pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").lazy()
    return table.select(pl.lit(path.name).alias("file"), *columns)


def read_lines(path: Path, header: FileHeader) -> list[str]:
    """Return the lines of a file with their ends; blank ones in the place of repeated headers, as in `scan_lines`."""
    with open_text(path, newline="\n" if header.line_end == "\n" else None) as file:
        lines = list(file)
    if not header.text:
        return lines
    first, others = lines[: header.first_line], lines[header.first_line :]
    bare = (line.rstrip("\r\n").removesuffix(header.text).rstrip(BYTE_ORDER_MARK) for line in others)
    is_cut = (line.rstrip("\r\n").endswith(header.text) for line in others)
    return first + [f"{start}\n" if cut else line for line, start, cut in zip(others, bare, is_cut, strict=True)]


def cells_in_order(values: list[str] | None, header: FileHeader, layout: Layout) -> list[str | None]:
    by_name = dict(zip(header.names, (value.strip() for value in values or ()), strict=False))
    for name in layout.decimals:
        if name in by_name and header.has_decimal_comma(name, layout):
            by_name[name] = by_name[name].replace(",", ".", 1)
    return [by_name.get(name) for name in layout.header]


def iter_records(
    lines: list[str], header: FileHeader, layout: Layout
) -> Iterator[tuple[int, str | None, str | None, list[str] | None]]:
    """Yield line number, reason, text and cells of each record; reason and text are None if it could be read."""
    position = header.first_line - 1
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        values, length = read_record(lines, position, header, layout)
        text = "".join(lines[position : position + length])
        reason = NOT_UTF8 if REPLACEMENT in text else None if values else header.wrong_width(layout)
        yield position + 1, reason, text.rstrip("\r\n")[:LONGEST_TEXT] if reason else None, values
        position += length


def read_record(lines: list[str], position: int, header: FileHeader, layout: Layout) -> tuple[list[str] | None, int]:
    """Return the cells of the record that starts at `position` and its length in lines; (None, 1) if unreadable.

    An unreadable record is one line long, so that an open quote makes only its own line unreadable.
    """
    quotes = 0
    for length, line in enumerate(islice(lines, position, position + LONGEST_RECORD), 1):
        quotes += line.count('"')
        # A complete record has an even number of quotes. A single quote in an unquoted cell (5" tape) is harmless.
        if length > 1 and quotes % 2:
            continue
        values = parse_record(lines[position : position + length], header.separator)
        if values and has_field_count(len(values), header, layout):
            return values, length
        if quotes % 2 == 0:
            break
    return None, 1


def parse_record(lines: list[str], separator: str) -> list[str] | None:
    """Return the cells of one complete record; None if a quote is not closed, or not at the start or end of a cell."""
    try:
        rows = list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def has_field_count(n_fields: int, header: FileHeader, layout: Layout) -> bool:
    width = header.width(layout)
    return n_fields >= width if layout.ragged else n_fields == width
