"""Scrapy middleware that waits as long as a site asks for, and asks again where an answer is damaged.

    429, Retry-After: 30                                 wait 30 s, then ask again
    200, X-RateLimit-Remaining: 0, X-RateLimit-Reset: …  wait until the reset (AniList)
    500                                                  wait 2, 4, 8, … times the usual delay, then ask again
    200, '{"data": [{"mal_id": 15'                       ask again

Scrapy's retries do not read these headers. A crawl has one request at a time, so nothing else is sent meanwhile.
"""

import asyncio
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Request, Response

LONGEST_WAIT = 900.0  # seconds; a site that asks for more is left alone
LONGEST_BACKOFF = 60.0  # seconds, where the site does not say how long
BUSY = (408, 429, 500, 502, 503, 504, 522, 524)


class Patience:
    """Downloader middleware between Scrapy's retries and its cache."""

    def __init__(self, crawler: "Crawler") -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> "Patience":
        return cls(crawler)

    async def process_response(self, request: "Request", response: "Response") -> Any:
        from scrapy.downloadermiddlewares.retry import get_retry_request
        from scrapy.exceptions import IgnoreRequest

        if "cached" in response.flags:
            return response
        spider: Any = self.crawler.spider
        wait = seconds_to_wait(response, spider.seconds, request.meta.get("retry_times", 0))
        if wait > LONGEST_WAIT:
            spider.stop(f"the site asks to wait {wait / 60:.0f} minutes")
            return response
        await self.sleep(wait)
        problem = (check := request.meta.get("check")) and response.status == 200 and check(response)
        if not problem:
            return response
        if again := get_retry_request(request, spider=spider, reason=problem):
            return again
        raise IgnoreRequest(problem)

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the crawl is stopped."""
        end = time.monotonic() + seconds
        while self.crawler.crawling and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1.0))


def seconds_to_wait(response: "Response", delay: float, n_retries: int) -> float:
    """Return how long to send nothing after an answer.

    Args:
        response: The answer.
        delay: Usual seconds between two requests.
        n_retries: How often this page was asked for again.
    """
    headers = {name: (response.headers.get(name) or b"").decode("latin-1").strip() for name in HEADERS}
    if response.status in BUSY:
        asked = parse_seconds(headers["Retry-After"])
        return min(delay * 2 ** (n_retries + 1), LONGEST_BACKOFF) if asked is None else asked
    if headers["X-RateLimit-Remaining"] == "0":
        reset = parse_seconds(headers["X-RateLimit-Reset"])
        return LONGEST_BACKOFF if reset is None else max(0.0, reset - time.time())
    return 0.0


HEADERS = ("Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def parse_seconds(text: str) -> float | None:
    """Return a number of seconds, written as such or as the time when it is over; None for anything else.

    >>> parse_seconds("30"), parse_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), parse_seconds("soon")
    (30.0, 0.0, None)
    """
    if text.isascii() and text.isdigit():
        return float(text[:12])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None
