"""Users' lists by AniList's GraphQL API, in chunks of 500 entries; titles under their ids on MyAnimeList.

    {"data": {"MediaListCollection": {"hasNextChunk": false, "lists": [{"entries": [{"score": 85, "status":
     "COMPLETED", "updatedAt": 1510429936, "media": {"idMal": 1535, "title": {"romaji": "Death Note"}}}]}]}}}

Scores are asked for on AniList's scale of 100 points, and stored as tenths of it. Titles that MyAnimeList lacks are
left out. A later crawl fetches whole lists again, with one or two requests for each. AniList says in headers how many
requests it still accepts; `anirec.data.acquire.patience` waits for it.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import scrapy

from anirec.data.acquire.spiders.base import ApiSpider, Row, as_id
from anirec.data.acquire.spiders.mal_lists import entry_row

PAGE = 500  # entries
QUERY = """
query ($name: String, $chunk: Int, $size: Int) {
  MediaListCollection(userName: $name, type: ANIME, chunk: $chunk, perChunk: $size, forceSingleCompletedList: true) {
    hasNextChunk
    lists { isCustomList entries { score(format: POINT_100) status updatedAt media { idMal title { romaji } } } }
  }
}
"""
STATUS = {
    "CURRENT": "watching",
    "REPEATING": "completed",
    "COMPLETED": "completed",
    "PAUSED": "on_hold",
    "DROPPED": "dropped",
    "PLANNING": "plan_to_watch",
}


class AnilistLists(ApiSpider):
    """The lists of the users in a file of names."""

    name = "anilist_lists"
    address = "https://graphql.anilist.co"
    seconds = 2.1  # 30 requests a minute, which AniList has allowed since it lowered its limit of 90
    unit: ClassVar[str] = "lists"
    needs_users: ClassVar[bool] = True
    has_since: ClassVar[bool] = False
    newest_first: ClassVar[bool] = False

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for name, user in self.within_limit(self.users):
            yield self.chunk(name, user, 1)

    def chunk(self, name: str, user: str, number: int) -> scrapy.Request:
        post = {"query": QUERY, "variables": {"name": name, "chunk": number, "size": PAGE}}
        then = partial(self.entries, name=name, user=user, number=number)
        return self.page(f"list/{user}/{self.round}/{number}", "/", then, has="data", post=post)

    def entries(self, page: Any, name: str, user: str, number: int) -> Iterator[scrapy.Request]:
        if page["data"]["MediaListCollection"]["hasNextChunk"]:
            yield self.chunk(name, user, number + 1)

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        user = name.split("/")[1]
        for listed in content["data"]["MediaListCollection"]["lists"]:
            for entry in listed["entries"]:
                if not listed.get("isCustomList") and entry["media"].get("idMal") is not None:
                    item = as_id(entry["media"]["idMal"])
                    time = datetime.fromtimestamp(entry["updatedAt"], UTC).isoformat()
                    yield "titles", item, {"mal_id": item, "title": entry["media"]["title"]["romaji"]}
                    score = max(1.0, entry["score"] / 10) if entry["score"] else 0
                    yield "entries", None, entry_row(user, item, score, STATUS.get(entry["status"]), time)
