"""Tolerant reader of JSON objects: one per line (JSON lines), over several lines, or in a list.

Returns rows in the shape of `anirec.data.readers.csv.scan_csv`: the marks file, line, reason and text, then the values
of the keys as text.

    {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"]}  ->  "1535"  "Death Note"  "Madhouse"

Files of any size are read as a stream. The objects may be inside lists, or inside the response of an API that holds a
list: `[{…}, {…}]`, `{"@attributes": {…}, "post": [{…}, {…}]}`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import polars as pl
from polars.io.plugins import register_io_source

from anirec.data.readers.cells import LIST_SEPARATOR
from anirec.data.readers.layout import LONGEST_TEXT, NOT_UTF8, REPLACEMENT, read_start
from anirec.data.readers.packed import open_text

LONGEST_OBJECT = 1 << 18  # characters; a longer object is an error
CHUNK = 1 << 14  # characters read at once; few, since each error of `json` counts all lines before it
BATCH_ROWS = 5_000
PAGE_START = re.compile(r'\s*\{\s*("@attributes"\s*:\s*\{[^{}]*\}\s*,\s*)?"posts?"\s*:\s*(?=\[)')  # of a page of an API
# Where to resume after a broken object: at an object on a new line, or at a well-formed beginning within a line.
NEXT_OBJECT = re.compile(r'\n[ \t]*(?=\{)|,\s*(?=\{\s*["}])')
SPACE = re.compile(r"[\s,\[\]}]*")
DECODER = json.JSONDecoder(strict=False)  # dumps hold line breaks inside strings


def scan_json(paths: Sequence[Path], keys: tuple[str, ...]) -> pl.LazyFrame:
    """Return the rows of several files in order; the elements of a list are separated by `cells.LIST_SEPARATOR`.

    Values that are null or missing are "".

    Raises:
        UserError: A file is empty or not plain text.
    """
    for path in paths:
        read_start(path)
    schema: dict[str, Any] = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String}
    schema |= dict.fromkeys(keys, pl.String)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        rows = islice((row for path in paths for row in read_rows(path, keys)), n_rows)
        while batch := list(islice(rows, BATCH_ROWS)):
            table = pl.DataFrame(batch, schema=schema, orient="row")
            table = table if predicate is None else table.filter(predicate)
            yield table if columns is None else table.select(columns)

    return register_io_source(read, schema=schema)


def read_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    with open_text(path) as file:
        for line, reason, text, content in iter_objects(file):
            try:
                values = [as_text(content.get(key)) for key in keys]
            except RecursionError:
                yield path.name, line, "nested too deeply", text[:LONGEST_TEXT], *[""] * len(keys)
                continue
            yield path.name, line, reason, text[:LONGEST_TEXT] if reason else None, *values


def iter_objects(file: TextIO) -> Iterator[tuple[int, str | None, str, dict[str, Any]]]:
    """Yield line number, reason, text and content of each object; the reason is None if it could be read.

    >>> from io import StringIO
    >>> [row[:2] for row in iter_objects(StringIO('{"id": 1}\\n{"id": \\n{"id": 3}'))]
    [(1, None), (2, 'not JSON'), (3, None)]
    >>> [row[3] for row in iter_objects(StringIO('{"post": [{"id": 1}, {"id": 2}]}'))]
    [{'id': 1}, {'id': 2}]
    >>> len(list(iter_objects(StringIO('{"post": [{"id": 1}, {"id": 2}]}\\n' * 3))))
    6
    """
    text = file.read(CHUNK)
    line, counted, position = 1, 0, skip_to_object(text, 0)
    while True:
        # Read on until the object is complete.
        while len(text) - position < LONGEST_OBJECT and (more := file.read(CHUNK)):
            line, counted = line + text.count("\n", counted, position), 0
            text = text[position:] + more
            position = skip_to_object(text, 0)
        if position == len(text):
            return
        line, counted = line + text.count("\n", counted, position), position
        content, end, reason = decode(text, position)
        yield line, reason, text[position:end].rstrip(), content
        position = skip_to_object(text, end)


def skip_to_object(text: str, position: int) -> int:
    """Return the position of the next object, after white space and the start of a response that holds objects."""
    while found := PAGE_START.match(text, position := skip_space(text, position)):
        position = found.end()
    return position


def skip_space(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    return found.end() if found else position


def decode(text: str, position: int) -> tuple[dict[str, Any], int, str | None]:
    """Return the object that starts at `position`, the position of its end, and why it cannot be read (or None)."""
    try:
        content, end = DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):  # a number with thousands of digits is a ValueError, too
        following = NEXT_OBJECT.search(text, position + 1)
        return {}, following.end() if following else len(text), "not JSON"
    if not isinstance(content, dict):
        return {}, end, "not a JSON object"
    return content, end, NOT_UTF8 if REPLACEMENT in text[position:end] else None


def as_text(value: Any) -> str:
    """Return the text of a value; of an object with a name, the name.

    A list contains `LIST_SEPARATOR`, so that it can be told from text: after its element if there is only one.

    >>> as_text([{"id": 5, "name": "1girl"}, "solo"]).split(LIST_SEPARATOR), as_text(["solo"]).split(LIST_SEPARATOR)
    (['1girl', 'solo'], ['solo', ''])
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return LIST_SEPARATOR.join(map(as_text, value)) + (LIST_SEPARATOR if len(value) == 1 else "")
    if isinstance(value, dict) and "name" in value:
        return as_text(value["name"])
    if not isinstance(value, str):
        return json.dumps(value)
    # JSON can escape a lone surrogate, which is not valid text.
    return value.strip().encode(errors="replace").decode()
