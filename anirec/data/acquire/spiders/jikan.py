"""Jikan v4, an unofficial API of MyAnimeList: titles in pages of 25, then their characters.

    /anime?page=1   {"pagination": {"has_next_page": true, …}, "data": [{"mal_id": 1, "title": "Cowboy Bebop", …}]}

Jikan allows 60 requests a minute, and asks those who fetch many pages to be slow.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, ClassVar

import scrapy

from anirec.data.acquire.spiders.base import Row, as_id
from anirec.data.acquire.spiders.casts import CastSpider

PAGE = 25  # titles
SETTLED = "Finished Airing"
SAME = (
    *("title", "title_english", "title_japanese", "title_synonyms", "synopsis", "episodes", "score", "scored_by"),
    *("rank", "popularity", "members", "favorites", "type", "duration", "rating", "source"),
)
NAMED = ("studios", "producers", "genres", "themes", "demographics")


class Jikan(CastSpider):
    """Titles in the order of their ids; those that have not finished airing are looked at again in each crawl."""

    name = "jikan"
    address = "https://api.jikan.moe/v4"
    seconds = 1.0
    setting_names: ClassVar[tuple[str, ...]] = tuple(key for key in CastSpider.setting_names if key != "characters")

    def jikan(self) -> str:
        return self.address

    async def start(self) -> AsyncIterator[scrapy.Request]:
        yield self.listing(1)

    def listing(self, number: int) -> scrapy.Request:
        params = {"page": number, "limit": PAGE, "order_by": "mal_id", "sort": "asc"}
        params |= {"start_date": self.since} if self.since else {}
        then = partial(self.titles, number=number)
        return self.page(f"titles/{self.round}/{number}", "/anime", then, has="data", params=params)

    def titles(self, page: Any, number: int) -> Iterator[scrapy.Request]:
        kept = self.within_limit(page["data"])
        if page["pagination"]["has_next_page"] and not self.is_full():
            yield self.listing(number + 1)
        for title in kept:
            yield from self.cast(as_id(title["mal_id"]), "settled" if title["status"] == SETTLED else self.round)

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        if not name.startswith("titles/"):
            yield from cls.cast_rows(name, content)
            return
        for title in content["data"]:
            row = {key: title.get(key) for key in SAME}
            row |= {key: [entry["name"] for entry in title.get(key) or ()] for key in NAMED}
            row["genres"] += [entry["name"] for entry in title.get("explicit_genres") or ()]
            row["aired_from"] = (title.get("aired") or {}).get("from")
            yield "titles", as_id(title["mal_id"]), {"mal_id": title["mal_id"], **row}
