"""Tolerant reading of a dump's JSON objects, one after another: a line each (JSON lines), over several, or in a list.

The same rows as `anirec.data.readers.lines.scan`: marks file, line, reason, text, then the values of the keys as text.

    {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"]}  ->  "1535"  "Death Note"  "Madhouse"

A file of any size is read as a stream. Lists of objects and the page that holds one may stand around them:
`[{…}, {…}]`, `{"@attributes": {…}, "post": [{…}, {…}]}`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import polars as pl
from polars.io.plugins import register_io_source

from anirec.data.readers.cells import BETWEEN
from anirec.data.readers.layout import BROKEN, LONGEST_TEXT, NOT_UTF8, beginning

LONGEST_OBJECT = 1 << 18  # characters; a longer one is a mistake
PIECE = 1 << 14  # characters read at once; few, since an error of `json` counts the lines of all that stands before it
ROWS_AT_ONCE = 5_000
AROUND = re.compile(r'\s*\{\s*("@attributes"\s*:\s*\{[^{}]*\}\s*,\s*)?"posts?"\s*:\s*(?=\[)')  # of a page of an API
# Where reading goes on behind an object that is broken: on a new line, or where an object within a line begins well.
NEXT = re.compile(r'\n[ \t]*(?=\{)|,\s*(?=\{\s*["}])')
SPACE = re.compile(r"[\s,\[\]}]*")
DECODER = json.JSONDecoder(strict=False)  # dumps hold line breaks inside strings


def scan(paths: Sequence[Path], keys: tuple[str, ...]) -> pl.LazyFrame:
    """Rows of files, one after the other; a list's parts are kept apart by `cells.BETWEEN`, null and absent are "".

    Raises:
        UserError: A file is empty, or packed.
    """
    for path in paths:
        beginning(path)
    schema: dict[str, Any] = {"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String}
    schema |= dict.fromkeys(keys, pl.String)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        rows = islice((row for path in paths for row in rows_of(path, keys)), n_rows)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            table = pl.DataFrame(some, schema=schema, orient="row")
            table = table if predicate is None else table.filter(predicate)
            yield table if columns is None else table.select(columns)

    return register_io_source(read, schema=schema)


def rows_of(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line, reason, text, content in objects(file):
            try:
                values = [as_text(content.get(key)) for key in keys]
            except RecursionError:
                yield path.name, line, "lists in lists in lists", text[:LONGEST_TEXT], *[""] * len(keys)
                continue
            yield path.name, line, reason, text[:LONGEST_TEXT] if reason else None, *values


def objects(file: TextIO) -> Iterator[tuple[int, str | None, str, dict[str, Any]]]:
    """Line number, reason, text and content of each object; no reason: it could be read.

    >>> from io import StringIO
    >>> [row[:2] for row in objects(StringIO('{"id": 1}\\n{"id": \\n{"id": 3}'))]
    [(1, None), (2, 'not JSON'), (3, None)]
    >>> [row[3] for row in objects(StringIO('{"post": [{"id": 1}, {"id": 2}]}'))]
    [{'id': 1}, {'id': 2}]
    >>> len(list(objects(StringIO('{"post": [{"id": 1}, {"id": 2}]}\\n' * 3))))
    6
    """
    text = file.read(PIECE)
    line, counted, place = 1, 0, skip(text, 0)
    while True:
        # An object is looked at only when it is there whole.
        while len(text) - place < LONGEST_OBJECT and (more := file.read(PIECE)):
            line, counted = line + text.count("\n", counted, place), 0
            text = text[place:] + more
            place = skip(text, 0)
        if place == len(text):
            return
        line, counted = line + text.count("\n", counted, place), place
        content, end, reason = decode(text, place)
        yield line, reason, text[place:end].rstrip(), content
        place = skip(text, end)


def skip(text: str, place: int) -> int:
    """Where the next object begins: behind space, and behind the beginnings of pages that hold objects."""
    while found := AROUND.match(text, place := behind_space(text, place)):
        place = found.end()
    return place


def behind_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def decode(text: str, place: int) -> tuple[dict[str, Any], int, str | None]:
    """The object that starts at `place`, where it ends, and why it cannot be read."""
    try:
        content, end = DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):  # ValueError also of a number with thousands of digits
        following = NEXT.search(text, place + 1)
        return {}, following.end() if following else len(text), "not JSON"
    if not isinstance(content, dict):
        return {}, end, "not a JSON object"
    return content, end, NOT_UTF8 if BROKEN in text[place:end] else None


def as_text(value: Any) -> str:
    """A list is told from a word by its `BETWEEN`, a list of one by what stands behind it.

    >>> as_text([{"id": 5, "name": "1girl"}, "solo"]) == f"1girl{BETWEEN}solo", as_text(["solo"]) == f"solo{BETWEEN}"
    (True, True)
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return BETWEEN.join(map(as_text, value)) + (BETWEEN if len(value) == 1 else "")
    if isinstance(value, dict) and "name" in value:
        return as_text(value["name"])
    if not isinstance(value, str):
        return json.dumps(value)
    # Half of a pair of surrogates can be escaped in JSON, but it is no text.
    return value.strip().encode(errors="replace").decode()
