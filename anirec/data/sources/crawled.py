"""What `anirec data crawl` has fetched: titles with characters and portraits, or users' lists.

    titles.jsonl        {"mal_id": 1535, "title": "Death Note", "synopsis": "…", "score": 8.62, "genres": […], …}
    characters.jsonl    {"character_id": 71, "name": "L Lawliet", "description": "…"}
    appearances.jsonl   {"item_id": 1535, "character_id": 71, "role": "Main"}
    entries.csv         user,item,score,status,updated    u3f2a…,1535,9,2,2017-11-11 19:52:16
    portraits/71.jpg

Crawls of posts are read by `anirec.data.sources.safebooru`.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anirec.data.readers import cells, time_cells
from anirec.data.readers.csv import scan_csv
from anirec.data.readers.json_objects import scan_json
from anirec.data.readers.layout import Layout
from anirec.data.schema import ROLES
from anirec.data.sources.base import Dump, Need, file_names, names_digest
from anirec.data.sources.mal_columns import MAL_TITLES, MAL_URL, mal_parsers
from anirec.data.sources.mal_seasonal import GENRES, KEYS

ENTRIES = Layout(
    header=("user", "item", "score", "status", "updated"),
    required=("user", "item", "score", "status", "updated"),
    data={"item": r"\d+", "score": r"\d+(\.\d+)?"},
)
PORTRAITS = "portraits"


class Crawled(Dump):
    """Titles with synopsis, score and characters; or users' entries with the titles that they name.

    Args:
        folder: The folder of the crawl.
    """

    columns = MAL_TITLES | {
        *("item_id", "synonyms", "synopsis", "character_id", "name", "description", "portrait", "role"),
        *("user_id", "rating", "status", "timestamp"),
    }
    version = 1
    item_url = MAL_URL
    origin = "the site itself, by anirec data crawl"
    needs = (
        Need(("titles.jsonl",)),
        Need(("characters.jsonl",), optional=True),
        Need(("appearances.jsonl",), optional=True),
        Need(("entries.csv",), optional=True),
    )

    def missing_message(self, missing: list[Need]) -> str:
        crawl = self.folder.name.removeprefix("crawled-")
        names = ", ".join(str(need) for need in missing if not need.optional) or "files"
        return f"{self.name}: {names} missing in {self.folder.absolute()}.\nFetch them with: anirec data crawl {crawl}"

    def options(self) -> Mapping[str, Any]:
        return {"portraits": names_digest(self.portraits())}

    def portraits(self) -> list[str]:
        return file_names(self.folder / PORTRAITS)

    def items(self) -> pl.LazyFrame:
        rows = scan_json(self.find_files()[0], KEYS).with_columns(
            genres=pl.concat_str(GENRES, separator=cells.LIST_SEPARATOR),
            aired_from=pl.col("aired_from").str.slice(0, len("2006-10-04")),
        )
        optional = mal_parsers(self.columns, synonyms="title_synonyms", age_rating="rating")
        return cells.tidy(rows, required={"item_id": cells.parse_id("mal_id")}, optional=optional)

    def characters(self) -> pl.LazyFrame | None:
        paths = self.find_files()[1]
        if not paths:
            return None
        rows = scan_json(paths, ("character_id", "name", "description"))
        optional = {"name": cells.parse_label("name"), "description": cells.parse_description("description")}
        rows = cells.tidy(rows, required={"character_id": cells.parse_id("character_id")}, optional=optional)
        files = {name.partition(".")[0]: f"{PORTRAITS}/{name}" for name in self.portraits()}
        number = pl.col("character_id").cast(pl.String)
        return rows.with_columns(portrait=number.replace_strict(files, default=None, return_dtype=pl.String))

    def appearances(self) -> pl.LazyFrame | None:
        paths = self.find_files()[2]
        if not paths:
            return None
        rows = scan_json(paths, ("item_id", "character_id", "role"))
        rows = rows.with_columns(role=pl.when(pl.col("role").is_in(ROLES)).then("role"))
        required = {"item_id": cells.parse_id("item_id"), "character_id": cells.parse_id("character_id")}
        return cells.tidy(rows, required=required, optional={"role": cells.parse_label("role")})

    def interactions(self) -> pl.LazyFrame | None:
        paths = self.find_files()[3]
        if not paths:
            return None
        required = {
            "user_id": cells.parse_user_name("user"),
            "item_id": cells.parse_id("item"),
            "rating": cells.parse_rating("score", unrated=cells.ZERO),
        }
        optional = {
            "status": cells.parse_status("status"),
            "timestamp": time_cells.parse_datetime("updated"),
        }
        return cells.tidy(scan_csv(paths[0], ENTRIES), required=required, optional=optional)
