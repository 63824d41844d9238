"""MyAnimeList's API v2: titles by rank or by season, their statistics; their characters by Jikan.

    /anime/ranking?limit=500         {"data": [{"node": {"id": 1535, "title": "Death Note", …}}], "paging": {"next": …}}
    /anime/season/2026/fall          the same
    /anime/1535?fields=statistics    {"id": 1535, "statistics": {"status": {"watching": "89", …}, "num_list_users": 9}}

`updated_at` of a title says whether it has changed since it was fetched.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import date
from functools import partial
from typing import Any, ClassVar

import scrapy

from anirec.data.acquire.spiders.base import Row, as_id, nothing
from anirec.data.acquire.spiders.casts import CastSpider

PAGE = 500  # titles; the most that a season may list, too
SEASONS = ("winter", "spring", "summer", "fall")
FIELDS = (
    "alternative_titles,start_date,synopsis,mean,rank,popularity,num_list_users,num_scoring_users,updated_at,"
    "media_type,status,genres,num_episodes,source,average_episode_duration,rating,studios"
)
TYPES = {"tv": "TV", "ova": "OVA", "ona": "ONA", "cm": "CM", "pv": "PV", "tv_special": "TV Special"}
RATINGS = {
    "g": "G - All Ages",
    "pg": "PG - Children",
    "pg_13": "PG-13 - Teens 13 or older",
    "r": "R - 17+ (violence & profanity)",
    "r+": "R+ - Mild Nudity",
    "rx": "Rx - Hentai",
}


class Mal(CastSpider):
    """Titles by rank; with --since, by season from that date on."""

    name = "mal"
    address = "https://api.myanimelist.net/v2"
    variable: ClassVar[str] = "MAL_CLIENT_ID"
    variable_from: ClassVar[str] = "https://myanimelist.net/apiconfig"

    def headers(self) -> dict[str, str]:
        return {"X-MAL-CLIENT-ID": self.client_id}

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for path in seasons(self.since, date.fromisoformat(self.round[:10])) if self.since else ["ranking"]:
            yield self.listing(path, 0)

    def listing(self, path: str, offset: int) -> scrapy.Request:
        params = {"limit": PAGE, "offset": offset, "fields": FIELDS, "nsfw": "true"}
        params |= {"ranking_type": "all"} if path == "ranking" else {}
        key, then = f"titles/{self.round}/{path}/{offset}", partial(self.titles, path=path, offset=offset)
        return self.page(key, f"/anime/{path}", then, has="data", params=params)

    def titles(self, page: Any, path: str, offset: int) -> Iterator[scrapy.Request]:
        kept = self.within_limit(page["data"])
        if page["paging"].get("next") and not self.is_full():
            yield self.listing(path, offset + PAGE)
        for entry in kept:
            title, version = as_id(entry["node"]["id"]), str(entry["node"].get("updated_at") or self.round)
            params = {"fields": "statistics"}
            yield self.page(f"statistics/{title}@{version}", f"/anime/{title}", nothing, has="id", params=params)
            yield from self.cast(title, version)

    @classmethod
    def rows(cls, name: str, content: Any) -> Iterator[Row]:
        if name.startswith("titles/"):
            for entry in content["data"]:
                yield "titles", as_id(entry["node"]["id"]), title_row(entry["node"])
        elif name.startswith("statistics/"):
            counts = content.get("statistics") or {}
            row = {"item_id": as_id(content["id"]), **(counts.get("status") or {})}
            yield "statistics", row["item_id"], row | {"total": counts.get("num_list_users")}
        else:
            yield from cls.cast_rows(name, content)


def title_row(node: dict[str, Any]) -> dict[str, Any]:
    """Return a title under the names that Jikan uses."""
    names = node.get("alternative_titles") or {}
    seconds, day, kind = (
        node.get("average_episode_duration"),
        node.get("start_date") or "",
        node.get("media_type") or "",
    )
    return {
        "mal_id": node["id"],
        "title": node.get("title"),
        "title_english": names.get("en"),
        "title_japanese": names.get("ja"),
        "title_synonyms": names.get("synonyms"),
        "synopsis": node.get("synopsis"),
        "episodes": node.get("num_episodes"),
        "score": node.get("mean"),
        "scored_by": node.get("num_scoring_users"),
        "rank": node.get("rank"),
        "popularity": node.get("popularity"),
        "members": node.get("num_list_users"),
        "type": TYPES.get(kind, kind.capitalize()),
        "duration": f"{seconds // 60} min {seconds % 60} sec" if seconds else None,
        "rating": RATINGS.get(node.get("rating") or ""),
        "source": (node.get("source") or "").replace("_", " ").capitalize(),
        "studios": [studio["name"] for studio in node.get("studios") or ()],
        "genres": [genre["name"] for genre in node.get("genres") or ()],
        "aired_from": (day + "-01-01")[:10] if len(day) == 4 else (day + "-01")[:10],
    }


def seasons(since: str, today: date) -> Iterator[str]:
    """Yield the paths of all seasons from a date to the one after the current.

    >>> list(seasons("2026-07-01", date(2026, 11, 26)))
    ['season/2026/summer', 'season/2026/fall', 'season/2027/winter']
    """
    first = date.fromisoformat(since)
    for number in range(first.year * 4 + (first.month - 1) // 3, today.year * 4 + (today.month - 1) // 3 + 2):
        yield f"season/{number // 4}/{SEASONS[number % 4]}"
