"""Base class of the spiders: requests with keys, checked answers, and the counting of what could not be fetched.

A spider says which pages to ask for (`start` and what follows from a page), and which rows a page holds (`rows`). Rows
are made from the stored pages, never during the crawl, so that the tables can be built again without the site.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import scrapy
from scrapy.exceptions import CloseSpider, IgnoreRequest
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError

from anirec.data.acquire.pages import Pages, is_final

Row = tuple[str, int | None, dict[str, Any]]  # table, id (None: repeated rows are kept), columns
Then = Callable[[Any], Iterable[scrapy.Request]]
LARGEST_ANSWER = 16 << 20  # bytes, decompressed
MOST_FAILURES = 10  # in a row: then the site refuses, or has changed
UNEXPECTED = (KeyError, TypeError, ValueError, AttributeError, IndexError)
ROBOTS = "Forbidden by robots.txt"


class ApiSpider(scrapy.Spider):
    """A spider of an API that answers in JSON.

    Attributes:
        address: Address of the API, without the slash at the end.
        seconds: Least seconds between two requests to a host.
        timeout: Seconds after which an answer counts as missing.
        round: Start of this crawl; part of the keys of pages that the next crawl must fetch again.
        since: Fetch only what is newer; see `parse_since`. Empty: everything.
        limit: Most titles, lists or posts; None: all.
        setting_names: Names of the attributes that `anirec data crawl NAME KEY=VALUE` can set.
        final: Status codes of answers that are kept, since asking again in this crawl would not change them.
        unit: What `limit` counts.
        needs_users: Whether names of users are given.
        has_since: Whether the API can leave out what is older.
        variable: Environment variable with a key that the site requires; empty: none.
        newest_first: Order in which the tables are built; of repeated rows, the first counts.
    """

    address: str = ""
    seconds: float = 1.0
    timeout: float = 30.0
    setting_names: ClassVar[tuple[str, ...]] = ("address", "seconds", "timeout")
    final: ClassVar[frozenset[int]] = frozenset({200, 404})
    unit: ClassVar[str] = "titles"
    variable: ClassVar[str] = ""
    variable_from: ClassVar[str] = ""
    needs_users: ClassVar[bool] = False
    has_since: ClassVar[bool] = True
    newest_first: ClassVar[bool] = True
    pages: Pages

    def __init__(
        self,
        *,
        round_: str,
        since: str,
        limit: int | None,
        values: Mapping[str, Any],
        client_id: str = "",
        users: Iterable[tuple[str, str]] = (),
        report: Callable[["ApiSpider"], None] = lambda _: None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.round, self.since, self.limit, self.report = round_, since, limit, report
        self.client_id, self.users = client_id, list(users)
        vars(self).update(values)
        self.allowed_domains = sorted(self.hosts())
        self.n_units = self.n_pages = self.n_failures_in_a_row = 0
        self.problems: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.stopped = ""

    @classmethod
    def parse_since(cls, text: str) -> str:
        """Return the value of --since in the form that the spider uses; ValueError if it is malformed."""
        from datetime import date

        return date.fromisoformat(text).isoformat()

    def hosts(self) -> set[str]:
        """Return the hosts that the spider may ask."""
        return {urlsplit(self.address).hostname or ""}

    def headers(self) -> dict[str, str]:
        """Return the headers for the spider's own address, such as its key; other addresses do not get them."""
        return {}

    def page(
        self,
        key: str,
        path: str,
        then: Then,
        *,
        has: str | None,
        params: Mapping[str, Any] | None = None,
        post: Mapping[str, Any] | None = None,
        address: str = "",
        clean: Callable[[Any], Any] | None = None,
    ) -> scrapy.Request:
        """Return the request of a page.

        Args:
            key: Name of the page in the crawl.
            path: Path after the address.
            then: Called with the page's content; yields the requests that follow.
            has: Key that a whole answer has; None: the answer is a list.
            params: Query of the address.
            post: JSON to send; None: a GET request.
            address: Address of the API where it is not the spider's.
            clean: Returns the content to store.
        """
        url = (address or self.address) + path + ("?" + urlencode(params) if params else "")
        meta = {
            "page": key,
            "check": lambda response: check_json(response, has),
            "read": read_json,
            "clean": clean,
            "handle_httpstatus_list": sorted(self.final - {200}),
            "download_maxsize": LARGEST_ANSWER,
        }
        more: dict[str, Any] = {"method": "POST", "body": json.dumps(post)} if post is not None else {}
        headers = {"Accept": "application/json"} | ({} if address else self.headers())
        headers |= {} if post is None else {"Content-Type": "application/json"}
        return scrapy.Request(
            url,
            callback=self.answered,
            errback=self.failed,
            headers=headers,
            meta=meta,
            cb_kwargs={"then": then},
            **more,
        )

    def answered(self, response: Response, then: Then) -> Iterator[scrapy.Request]:
        """Yield the requests that follow from a page."""
        if not is_final(response, self.final):
            self.count_failure(f"HTTP {response.status}", response.meta["page"])
            return
        self.n_pages += 1
        self.n_failures_in_a_row = 0
        self.report(self)
        if response.status != 200:
            return
        try:
            following = list(then(response.meta["read"](response)))
        except UNEXPECTED:
            return  # the page is kept, and counted where the tables are built
        yield from following

    def failed(self, failure: Any) -> None:
        """Count a page that could not be fetched; the next crawl asks for it again."""
        reason = describe(failure.value)
        if reason == ROBOTS:
            self.stopped = "robots.txt of the site forbids these pages"
            raise CloseSpider("robots")
        self.count_failure(reason, failure.request.meta["page"])

    def count_failure(self, reason: str, page: str) -> None:
        """Count a page that failed, and stop the crawl after too many of them."""
        self.problems[reason] += 1
        self.examples.setdefault(reason, page)
        self.n_failures_in_a_row += 1
        if self.n_failures_in_a_row == MOST_FAILURES:
            self.stopped = f"{MOST_FAILURES} pages failed in a row, the last one with: {reason}"
            raise CloseSpider("failures")

    def stop(self, why: str) -> None:
        """Stop the crawl as soon as possible."""
        import asyncio

        self.stopped = why
        self.stopping = asyncio.ensure_future(self.crawler.engine.close_spider_async(reason="stopped"))

    def within_limit(self, found: list[Any]) -> list[Any]:
        """Return as many of these titles, lists or posts as the limit allows, and count them."""
        kept = found if self.limit is None else found[: max(0, self.limit - self.n_units)]
        self.n_units += len(kept)
        return kept

    def is_full(self) -> bool:
        return self.limit is not None and self.n_units >= self.limit

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        """Yield the rows of a stored page.

        Args:
            name: Key of the page, without its version.
            content: Its content.
        """
        raise NotImplementedError


def read_json(response: Response) -> Any:
    """Return the content of an answer; an empty answer is an empty list."""
    return json.loads(response.body) if response.body.strip() else []


def check_json(response: Response, has: str | None) -> str:
    """Return what is wrong with an answer; empty if it is whole."""
    try:
        content = read_json(response)
    except (ValueError, RecursionError):
        return "damaged answer"
    if isinstance(content, list) if has is None else isinstance(content, dict) and has in content:
        return ""
    return f"answer without {has}" if has else "answer that is not a list"


def describe(error: BaseException) -> str:
    """Return in a few words why a page could not be fetched."""
    if isinstance(error, HttpError):
        return f"HTTP {error.response.status}"
    if isinstance(error, IgnoreRequest):
        return str(error)
    name = type(error).__name__
    known = {"Timeout": "no answer in time", "DataLoss": "damaged answer", "Refused": "no connection"}
    return next((text for part, text in known.items() if part in name), f"{name}: {error}")


def as_id(value: Any) -> int:
    """Return an id as a whole number, 0 or more; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError(f"{str(value)[:40]!r} is not an id")
    return value


def nothing(_: Any) -> tuple[()]:
    """Follow no further page."""
    return ()
