"""Tolerant reader of JSON objects: one per line (JSON lines), over several lines, or in a list.

Returns rows in the shape of `anirec.data.readers.csv.scan_csv`: the marks file, line, reason and text, then the values
of the keys as text.

    {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"]}  ->  "1535"  "Death Note"  "Madhouse"

Files of any size are read as a stream. The objects may be inside lists, or inside pages, the responses of an API that
hold a list: `[{…}, {…}]`, `{"@attributes": {…}, "post": [{…}, {…}]}`, `{"data": [{…}, {…}], "paging": {…}}`. Pages in
XML are read by `anirec.data.readers.xml_objects`.
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
from anirec.data.readers.xml_objects import iter_posts

LONGEST_OBJECT = 1 << 18  # characters; a longer object is an error
CHUNK = 1 << 14  # characters read at once; few, since each error of `json` counts all lines before it
BATCH_ROWS = 5_000
# Of a page of an API: what precedes the list of its objects, and what is said about the page itself.
PAGE_LIST = re.compile(r'(\{\s*)?"(posts?|data)"\s*:\s*(?=\[\s*[{\]])')
PAGE_INFO = re.compile(
    r'(\{\s*"(@attributes|pagination)"|"(@attributes|pagination|paging|meta|links)")\s*:\s*(?=[{\[])'
)
# Where to resume after a broken object: at an object on a new line, or at a well-formed beginning within a line.
NEXT_OBJECT = re.compile(r'\n[ \t]*(?=\{)|,\s*(?=\{\s*["}])')
SPACE = re.compile(r"[\s,\[\]}]*")
DECODER = json.JSONDecoder(strict=False)  # dumps hold line breaks inside strings


def scan_json(paths: Sequence[Path], keys: tuple[str, ...]) -> pl.LazyFrame:
    """Return the rows of several files in order, those that end in .xml being XML.

    The elements of a list are separated by `cells.LIST_SEPARATOR`. Values that are null or missing are "".

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
        for line, reason, text, content in (iter_posts if path.suffix == ".xml" else iter_objects)(file):
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
    >>> page = '{"pagination": {"items": {"count": 2}}, "data": [{"id": 1}, {"id": 2}], "links": {"next": 2}}'
    >>> [row[3] for row in iter_objects(StringIO(page))]
    [{'id': 1}, {'id': 2}]
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
    """Return the position of the next object, after white space and the parts of a page that are no objects."""
    while True:
        position = skip_space(text, position)
        if found := PAGE_LIST.match(text, position):
            position = found.end()
        elif found := PAGE_INFO.match(text, position):
            try:
                _, position = DECODER.raw_decode(text, found.end())
            except (ValueError, RecursionError):
                return position
        else:
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
    """Return the text of a value; of an object with a name, the name; of votes, the total; of groups, all elements.

    A list contains `LIST_SEPARATOR`, so that it can be told from text: after its element if there is only one.

    >>> as_text([{"id": 5, "name": "1girl"}, "solo"]).split(LIST_SEPARATOR), as_text(["solo"]).split(LIST_SEPARATOR)
    (['1girl', 'solo'], ['solo', ''])
    >>> as_text({"general": ["solo", "rain"], "artist": ["ann"]}).split(LIST_SEPARATOR)
    ['solo', 'rain', 'ann']
    >>> as_text({"up": 6, "down": -2, "total": 4}), as_text({"up": 6, "down": 2})
    ('4', '4')
    """
    if value is None:
        return ""
    if (inner := unwrap(value)) is not value:
        return as_text(inner)
    if isinstance(value, list):
        return LIST_SEPARATOR.join(map(as_text, value)) + (LIST_SEPARATOR if len(value) == 1 else "")
    if not isinstance(value, str):
        return json.dumps(value)
    # JSON can escape a lone surrogate, which is not valid text.
    return value.strip().encode(errors="replace").decode()


def unwrap(value: Any) -> Any:
    """Return what an object stands for: its name, its votes, or the elements of its lists; others as they are."""
    if not isinstance(value, dict):
        return value
    if "name" in value or "total" in value:
        return value.get("name", value.get("total"))
    if isinstance(value.get("up"), int) and isinstance(value.get("down"), int):
        return value["up"] - abs(value["down"])  # some sites count downvotes as negative
    if all(isinstance(group, list) for group in value.values()):
        return [element for group in value.values() for element in group]
    return value
