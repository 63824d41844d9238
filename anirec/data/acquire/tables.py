"""The files that a crawl leaves for the sources, made from its stored pages without asking the site.

titles.jsonl        {"mal_id": 1535, "title": "Death Note", "synopsis": …}
characters.jsonl    {"character_id": 71, "name": "L Lawliet", "description": …}
appearances.jsonl   {"item_id": 1535, "character_id": 71, "role": "Main"}
statistics.jsonl    {"item_id": 1535, "watching": "89", …}
entries.csv         user,item,score,status,updated
posts.jsonl         {"id": 500, "score": 2, "tags": "1girl solo", …}
portraits/71.jpg
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anirec.atomic import replacing
from anirec.data.acquire.pages import Pages

TABLES = ("titles", "characters", "appearances", "statistics", "posts")
ENTRIES = ("user", "item", "score", "status", "updated")
PORTRAITS = "portraits"
UNFINISHED = re.compile(r"\.\w+\.(jsonl|csv|yaml)\.[0-9a-f]{32}")
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp", b"GI": ".gif"}  # by the first bytes
UNEXPECTED = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


def build_tables(kind: Any, folder: Path, step: Callable[[str], None]) -> tuple[Counter[str], Counter[str]]:
    """Write the tables of a crawl.

    Args:
        kind: Class of the spider.
        folder: Folder of the crawl.
        step: Called with a description of what is being done.

    Returns:
        Number of rows of each table, and number of pages whose content is not as expected, by error.
    """
    for path in folder.glob(".*"):
        if UNFINISHED.fullmatch(path.name):  # of a process that was killed
            path.unlink()
    counts: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    pages = Pages(folder)
    with ExitStack() as stack:
        stack.callback(pages.close)
        writers: dict[str, Callable[[dict[str, Any]], None]] = {}
        for number, (name, body) in enumerate(pages.newest_versions(newest_first=kind.newest_first)):
            if number % 1000 == 0:
                step(f"building the tables: {number:,} of {len(pages):,} pages")
            if name.startswith("portrait/"):
                counts["portraits"] += write_portrait(folder / PORTRAITS, name.partition("/")[2], body)
                continue
            if name.startswith("robots/"):
                continue
            try:
                rows = list(kind.rows(name, json.loads(body) if body.strip() else []))
            except UNEXPECTED as error:
                problems[f"{name.partition('/')[0]}: {type(error).__name__}: {error}"] += 1
                continue
            for table, identity, row in rows:
                if identity is not None and (table, identity) in seen:
                    continue
                if identity is not None:
                    seen.add((table, identity))
                if table not in writers:
                    writers[table] = open_table(stack, table, folder)
                writers[table](row)
                counts[table] += 1
    return counts, problems


def open_table(stack: ExitStack, table: str, folder: Path) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes a row; the file replaces the previous one when the stack is closed."""
    name = f"{table}.jsonl" if table in TABLES else f"{table}.csv"
    path = stack.enter_context(replacing(folder / name))
    file = stack.enter_context(path.open("w", encoding="utf-8", errors="replace", newline=""))
    if table not in TABLES:
        writer = csv.DictWriter(file, ENTRIES)
        writer.writeheader()
        return writer.writerow
    return lambda row: print(json.dumps(row, ensure_ascii=False), file=file)


def write_portrait(folder: Path, character: str, body: bytes) -> bool:
    """Write the picture of a character if there is none; the name of the file is the id. Return whether it exists."""
    suffix = SUFFIXES.get(body[:2])
    if suffix is None or not character.isdigit():
        return False
    path = folder / f"{character}{suffix}"
    if not path.is_file() or path.stat().st_size != len(body):
        with replacing(path) as unfinished:
            unfinished.write_bytes(body)
    return True
