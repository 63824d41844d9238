"""Posts of Safebooru by its DAPI, in ranges of 100 ids, since it refuses deep pages.

/index.php?page=dapi&s=post&q=index&json=1&tags=id:>400 id:<501     [{"id": 500, "score": 2, "tags": "1girl", …}]
"""

from typing import Any, ClassVar

from anirec.data.acquire.spiders.danbooru import Danbooru

DAPI = {"page": "dapi", "s": "post", "q": "index", "json": 1}


class Safebooru(Danbooru):
    """Posts in the order of their ids; with --since, from that id on."""

    name = "safebooru"
    address = "https://safebooru.org"
    path: ClassVar[str] = "/index.php"
    size: ClassVar[int] = 100  # the most posts that the site returns
    fields: ClassVar[tuple[str, ...]] = ("id", "score", "tags", "rating", "change", "width", "height")

    def query(self, low: int, high: int) -> dict[str, Any]:
        return {**DAPI, "limit": self.size, "tags": f"id:>{low - 1} id:<{high + 1}"}

    def newest_query(self) -> dict[str, Any]:
        return {**DAPI, "limit": 1}
