"""Tolerant reading of a dump's JSON objects, one after another: a line each (JSON lines) or over several.

The same rows as `anirec.data.records.read`: marks file, line, reason, text, then the values of the keys as text.

    {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"]}  ->  "1535"  "Death Note"  "Madhouse"
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from anirec.data.cells import BETWEEN
from anirec.data.layout import BROKEN, LONGEST_TEXT, NOT_UTF8, beginning

NEXT = re.compile(r"\n[ \t]*(?=\{)")  # where reading goes on behind an object that is broken
SPACE = re.compile(r"[\s,]*")
DECODER = json.JSONDecoder(strict=False)  # dumps hold line breaks inside strings


def read(path: Path, keys: tuple[str, ...]) -> pl.LazyFrame:
    """Rows of a file that fits in memory; a list's parts are kept apart by `cells.BETWEEN`, null and absent are "".

    Raises:
        UserError: The file is empty, or packed.
    """
    beginning(path)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    columns = ["line", "reason", "text", *keys]
    rows = [
        (line, reason, raw[:LONGEST_TEXT] if reason else None, *(as_text(values.get(key)) for key in keys))
        for line, reason, raw, values in objects(text)
    ]
    schema = {"line": pl.Int64, **dict.fromkeys(columns[1:], pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").lazy()
    return table.select(pl.lit(path.name).alias("file"), *columns)


def objects(text: str) -> Iterator[tuple[int, str | None, str, dict[str, Any]]]:
    """Line number, reason, text and content of each object; no reason: it could be read.

    >>> [row[:2] for row in objects('{"id": 1}\\n{"id": \\n{"id": 3}')]
    [(1, None), (2, 'not JSON'), (3, None)]
    """
    line, counted, place = 1, 0, skip(text, 0)
    while place < len(text):
        line, counted = line + text.count("\n", counted, place), place
        content, end, reason = decode(text, place)
        yield line, reason, text[place:end].rstrip(), content
        place = skip(text, end)


def skip(text: str, place: int) -> int:
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
    if value is None:
        return ""
    if isinstance(value, list):
        return BETWEEN.join(map(as_text, value))
    return value.strip() if isinstance(value, str) else json.dumps(value)
