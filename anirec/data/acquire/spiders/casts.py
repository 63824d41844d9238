"""Characters of titles by Jikan v4: who appears, descriptions and portraits of the main characters.

/anime/1535/characters   {"data": [{"character": {"mal_id": 71, "name": "Lawliet, L", …}, "role": "Main", …}]}
/characters/71           {"data": {"mal_id": 71, "name": "L Lawliet", "about": "L is…", "images": {"jpg": …}}}
"""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any, ClassVar
from urllib.parse import urlsplit

import scrapy
from scrapy.http import Response

from anirec.data.acquire.spiders.base import ApiSpider, Row, as_id, nothing
from anirec.data.schema import ROLES

LARGEST_PICTURE = 4 << 20  # bytes
MOST_PIXELS = 25_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
PLACEHOLDER = "questionmark"  # in the address of a picture: there is none


class CastSpider(ApiSpider):
    """A spider of titles that also fetches their characters.

    Attributes:
        characters: Address of Jikan; empty: no characters.
        pictures: Hosts of the portraits, separated by commas; empty: no portraits.
    """

    characters: str = "https://api.jikan.moe/v4"
    pictures: str = "cdn.myanimelist.net"
    setting_names: ClassVar[tuple[str, ...]] = (*ApiSpider.setting_names, "characters", "pictures")

    def jikan(self) -> str:
        """Return the address of Jikan; empty for no characters."""
        return self.characters

    def hosts(self) -> set[str]:
        return super().hosts() | {urlsplit(self.jikan()).hostname or ""} - {""} | self.picture_hosts()

    def picture_hosts(self) -> set[str]:
        return set(filter(None, self.pictures.split(",")))

    def cast(self, title: int, version: str) -> Iterator[scrapy.Request]:
        """Yield the request of a title's characters; a new version of the title is fetched again."""
        if self.jikan():
            key, path = f"cast/{title}@{version}", f"/anime/{title}/characters"
            yield self.page(key, path, self.members, has="data", address=self.jikan())

    def members(self, page: Any) -> Iterator[scrapy.Request]:
        for entry in page["data"]:
            if entry["role"] == ROLES[0]:
                number = as_id(entry["character"]["mal_id"])
                key, path = f"character/{number}", f"/characters/{number}"
                then = partial(self.portrait, number=number)
                yield self.page(key, path, then, has="data", address=self.jikan())

    def portrait(self, page: Any, number: int) -> Iterator[scrapy.Request]:
        """Yield the request of a portrait if it is on one of the hosts of pictures."""
        address = str(page["data"]["images"]["jpg"]["image_url"] or "")
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname in self.picture_hosts() and PLACEHOLDER not in address:
            meta = {
                "page": f"portrait/{number}",
                "check": check_picture,
                "read": lambda _: None,
                "handle_httpstatus_list": [404],
                "download_maxsize": LARGEST_PICTURE,
            }
            more: dict[str, Any] = {"meta": meta, "cb_kwargs": {"then": nothing}}
            yield scrapy.Request(address, callback=self.answered, errback=self.failed, **more)

    @classmethod
    def cast_rows(cls, name: str, content: Any) -> Iterator[Row]:
        """Yield the rows of the pages that this class fetches."""
        kind, _, number = name.partition("/")
        if kind == "cast":
            for entry in content["data"]:
                member = as_id(entry["character"]["mal_id"])
                yield "appearances", None, {"item_id": int(number), "character_id": member, "role": entry["role"]}
        elif kind == "character":
            about = content["data"]
            row = {"character_id": int(number), "name": about.get("name"), "description": about.get("about")}
            yield "characters", int(number), row


def check_picture(response: Response) -> str:
    """Return what is wrong with a picture; empty if it can be read."""
    from PIL import Image

    try:
        with Image.open(BytesIO(response.body), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return "picture with too many pixels"
            image.load()
    except Exception:  # decoders raise many kinds of errors for damaged pictures
        return "damaged picture"
    return ""
