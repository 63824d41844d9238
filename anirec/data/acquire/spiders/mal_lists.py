"""Users' lists by MyAnimeList's API v2, newest changes first.

    /users/NAME/animelist   {"data": [{"node": {"id": 1535, "title": "Death Note"}, "list_status": {"status":
                             "completed", "score": 9, "updated_at": "2017-11-11T19:52:16+00:00"}}], "paging": {…}}

A later crawl stops at the first page that it already has all of. Entries that users delete are not noticed.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import scrapy

from anirec.data.acquire.spiders.base import ApiSpider, Row, as_id

PAGE = 1000  # entries
STATUS = {"watching": 1, "completed": 2, "on_hold": 3, "dropped": 4, "plan_to_watch": 6}


class MalLists(ApiSpider):
    """The lists of the users in a file of names."""

    name = "mal_lists"
    address = "https://api.myanimelist.net/v2"
    variable: ClassVar[str] = "MAL_CLIENT_ID"
    variable_from: ClassVar[str] = "https://myanimelist.net/apiconfig"
    final: ClassVar[frozenset[int]] = frozenset({200, 403, 404})  # 403: a private list
    unit: ClassVar[str] = "lists"
    needs_users: ClassVar[bool] = True
    newest_first: ClassVar[bool] = False

    def headers(self) -> dict[str, str]:
        return {"X-MAL-CLIENT-ID": self.client_id}

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for name, user in self.within_limit(self.users):
            yield self.listing(name, user, 0, "")

    def listing(self, name: str, user: str, offset: int, newest: str) -> scrapy.Request:
        params = {"fields": "list_status", "limit": PAGE, "offset": offset, "sort": "list_updated_at", "nsfw": "true"}
        then = partial(self.entries, name=name, user=user, offset=offset, newest=newest)
        key, path = f"list/{user}/{self.round}/{offset}", f"/users/{quote(name, safe='')}/animelist"
        return self.page(key, path, then, has="data", params=params, clean=without_name)

    def entries(self, page: Any, name: str, user: str, offset: int, newest: str) -> Iterator[scrapy.Request]:
        times = [entry["list_status"]["updated_at"] for entry in page["data"]]
        newest = newest or max(times, default="")
        mark = f"list/{user}/{self.since}"  # what was fetched since a date is not all that was
        known = max(self.since, self.pages.latest_mark(mark, self.round))
        if page["paging"].get("next") and min(times) > known:
            yield self.listing(name, user, offset + PAGE, newest)
        else:
            self.pages.mark(mark, self.round, newest)

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        user = name.split("/")[1]
        for entry in content["data"]:
            item, status = as_id(entry["node"]["id"]), entry["list_status"]
            yield "titles", item, {"mal_id": item, "title": entry["node"].get("title")}
            yield "entries", None, entry_row(user, item, status["score"], status["status"], status["updated_at"])


def entry_row(user: str, item: int, score: Any, status: Any, updated: str) -> dict[str, Any]:
    """Return a row of the table of entries, with MyAnimeList's code of the status and the time in UTC."""
    time = updated[:19].replace("T", " ")
    return {"user": user, "item": item, "score": score, "status": STATUS.get(status, ""), "updated": time}


def without_name(page: Any) -> Any:
    """Return a page whose link to the next one, which has the user's name, is replaced by true."""
    return {**page, "paging": dict.fromkeys(page["paging"], True)}
