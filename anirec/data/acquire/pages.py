"""The pages that a crawl has fetched, compressed in one SQLite file: Scrapy's HTTP cache and the archive of the crawl.

    pages    key="cast/1535@finished"   fetched=1795689942.1   status=200   body=zlib(b'{"data": [{"character": …')
    marks    key="list/3f2a…"   round="2026-11-26T10:44:37"   value="2026-11-25 09:12:44"

The key is the page's name in the crawl, not its address: `name@version`, where a later version replaces an earlier one.
A page is written in one transaction, so a killed crawl leaves whole pages only. A crawl that is started again asks
for the same pages in the same order and gets those of the file without a request. Scrapy's JOBDIR cannot do that: it
needs a clean stop, while after SIGKILL its queues are lost and its list of seen requests hides what was in them.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from anirec.errors import UserError

if TYPE_CHECKING:
    from scrapy.http import Request, Response

FILE = "pages.sqlite"
FORBIDDEN = 403
LEVEL = 6  # of compression
LARGEST = 64 << 20  # bytes of a page after decompression
NAME = "CASE instr(key, '@') WHEN 0 THEN key ELSE substr(key, 1, instr(key, '@') - 1) END"
TABLES = """
CREATE TABLE IF NOT EXISTS pages (
    number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, fetched REAL NOT NULL, status INTEGER NOT NULL, body BLOB
);
CREATE TABLE IF NOT EXISTS marks (key TEXT, round TEXT, value TEXT, PRIMARY KEY (key, round));
"""


class Pages:
    """The pages of a crawl.

    Args:
        folder: The folder of the crawl.

    Raises:
        UserError: The file is damaged, or is not a file of pages.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.database = sqlite3.connect(self.path, isolation_level=None)
        try:
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = NORMAL")
            self.database.executescript(TABLES)
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: cannot be read: {error}. Remove it to crawl from the start.") from None

    def close(self) -> None:
        self.database.close()

    def __len__(self) -> int:
        return self.count()

    def count(self, since: float = 0.0) -> int:
        """Return the number of pages that were fetched since a time, in seconds since 1970."""
        query = "SELECT count(*) FROM pages WHERE fetched >= ?"
        return int(self.database.execute(query, (since,)).fetchone()[0])

    def put(self, key: str, status: int, body: bytes) -> None:
        """Write a page; one of the same key is replaced."""
        row = (key, time.time(), status, zlib.compress(body, LEVEL))
        self.database.execute("INSERT OR REPLACE INTO pages (key, fetched, status, body) VALUES (?, ?, ?, ?)", row)

    def get(self, key: str) -> tuple[int, bytes] | None:
        """Return status and body of a page; None if it was not fetched."""
        row = self.database.execute("SELECT status, body FROM pages WHERE key = ?", (key,)).fetchone()
        return (row[0], decompressed(row[1])) if row else None

    def newest_versions(self, *, newest_first: bool) -> Iterator[tuple[str, bytes]]:
        """Yield name and body of the newest version of each page with content, in the order of fetching."""
        query = f"""
            SELECT key, body FROM pages
            WHERE status = 200 AND number IN (SELECT max(number) FROM pages GROUP BY {NAME})
            ORDER BY number {"DESC" if newest_first else ""}
        """  # noqa: S608
        for key, body in self.database.execute(query):
            yield key.partition("@")[0], decompressed(body)

    def mark(self, key: str, round_: str, value: str) -> None:
        """Note a value that later rounds can read."""
        self.database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (key, round_, value))

    def latest_mark(self, key: str, before: str) -> str:
        """Return the highest value that a round before this one has noted; empty if there is none."""
        query = "SELECT max(value) FROM marks WHERE key = ? AND round < ?"
        return self.database.execute(query, (key, before)).fetchone()[0] or ""


def decompressed(body: bytes) -> bytes:
    """Return the content of a stored page, of at most LARGEST bytes."""
    return zlib.decompressobj().decompress(body, LARGEST)


class PageCache:
    """Storage of Scrapy's `HttpCacheMiddleware` in `Pages`, under the keys that the spider gives to its requests."""

    def __init__(self, settings: Any) -> None:
        self.round = settings["CRAWL_ROUND"]
        self.pages = Pages(Path(settings["CRAWL_FOLDER"]))

    def open_spider(self, spider: Any) -> None:
        spider.pages = self.pages

    def close_spider(self, spider: Any) -> None:
        self.pages.close()

    def key(self, request: "Request") -> str:
        return request.meta.get("page") or f"robots/{urlsplit(request.url).netloc}/{self.round}"

    def retrieve_response(self, spider: Any, request: "Request") -> "Response | None":
        from scrapy.http import TextResponse

        found = self.pages.get(self.key(request))
        return TextResponse(request.url, status=found[0], body=found[1], encoding="utf-8") if found else None

    def store_response(self, spider: Any, request: "Request", response: "Response") -> None:
        body = response.body
        if response.status == 200 and (clean := request.meta.get("clean")):
            body = json.dumps(clean(json.loads(body)), ensure_ascii=False).encode(errors="replace")
        self.pages.put(self.key(request), response.status, body)


def is_final(response: "Response", final: Set[int]) -> bool:
    """Return whether asking again in this crawl would not change an answer.

    A refusal counts only if the API itself writes it, in JSON: a firewall that blocks the crawl answers otherwise.
    """
    if response.status == FORBIDDEN and response.status in final:
        with suppress(ValueError, RecursionError):
            return isinstance(json.loads(response.body), dict)
        return False
    return response.status in final


class KeepFinalAnswers:
    """Policy of the cache: keep whole answers and those that no later request would change; they never expire."""

    def __init__(self, settings: Any) -> None:
        self.final = frozenset(settings["CRAWL_FINAL"])

    def should_cache_request(self, request: "Request") -> bool:
        return "page" in request.meta or urlsplit(request.url).path == "/robots.txt"

    def should_cache_response(self, response: "Response", request: "Request") -> bool:
        check = request.meta.get("check")
        is_whole = response.status != 200 or check is None or not check(response)
        return is_whole and is_final(response, self.final)

    def is_cached_response_fresh(self, cached: "Response", request: "Request") -> bool:
        return True

    def is_cached_response_valid(self, cached: "Response", response: "Response", request: "Request") -> bool:
        return False
