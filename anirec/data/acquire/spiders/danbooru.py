"""Posts of Danbooru in ranges of 200 ids, since it refuses deep pages.

    /posts.json?limit=1                   the newest post
    /posts.json?tags=id:401..600          [{"id": 600, "score": 3, "tag_string": "1girl solo", "rating": "g", …}, …]

A later crawl asks only for the ids from the last range on.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, ClassVar

import scrapy

from anirec.data.acquire.spiders.base import ApiSpider, Row, as_id

FIELDS = ("id", "score", "tag_string", "rating", "created_at", "image_width", "image_height")


class Danbooru(ApiSpider):
    """Posts in the order of their ids; with --since, from that id on."""

    name = "danbooru"
    address = "https://danbooru.donmai.us"
    unit: ClassVar[str] = "posts"
    path: ClassVar[str] = "/posts.json"
    size: ClassVar[int] = 200  # ids in a range: the most posts that the site returns
    fields: ClassVar[tuple[str, ...]] = FIELDS

    @classmethod
    def parse_since(cls, text: str) -> str:
        if not (text.isascii() and text.isdigit()):
            raise ValueError("expected the id of a post")
        return str(int(text))

    def query(self, low: int, high: int) -> dict[str, Any]:
        """Return the query for the posts with ids from `low` to `high`."""
        return {"tags": f"id:{low}..{high}", "limit": self.size, "only": ",".join(FIELDS)}

    def newest_query(self) -> dict[str, Any]:
        return {"limit": 1}

    async def start(self) -> AsyncIterator[scrapy.Request]:
        yield self.page(f"newest/{self.round}", self.path, self.newest, has=None, params=self.newest_query())

    def newest(self, page: Any) -> Iterator[scrapy.Request]:
        low = (max(1, int(self.since or 1)) - 1) // self.size * self.size + 1
        yield from self.ids(low, max(as_id(post["id"]) for post in page))

    def ids(self, low: int, newest: int) -> Iterator[scrapy.Request]:
        """Yield the request of the next range; the last range ends at the newest post, so that it is not taken for
        a whole one later."""
        if low <= newest:
            high = min(low + self.size - 1, newest)
            then = partial(self.posts, low=low, newest=newest)
            yield self.page(f"posts/{low}@{high}", self.path, then, has=None, params=self.query(low, high))

    def posts(self, page: Any, low: int, newest: int) -> Iterator[scrapy.Request]:
        self.within_limit(page)
        if not self.is_full():
            yield from self.ids(low + self.size, newest)

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        if name.startswith("posts/"):
            for post in content:
                yield "posts", None, {"id": as_id(post["id"]), **{key: post.get(key) for key in cls.fields[1:]}}
