"""MyAnimeList's TV seasons 2006-2027 with unreleased titles: synopsis, score, members; no ratings by users.

all_seasons.jsonl   one object per title, {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"], …}

Since 2021, MyAnimeList distinguishes genres, themes and demographics. Here all of them are genres, as in older dumps.
"""

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.json_objects import scan_json
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_TITLES, mal_parsers

KEYS = (
    *("mal_id", "title", "title_english", "title_japanese", "title_synonyms", "synopsis", "episodes", "score"),
    *("scored_by", "rank", "popularity", "members", "favorites", "type", "duration", "rating", "source", "studios"),
    *("producers", "genres", "themes", "demographics", "aired_from"),
)
GENRES = ("genres", "themes", "demographics")


class MalSeasonal(Dump):
    """Titles with synopsis and rich metadata.

    Args:
        folder: The folder of all_seasons.jsonl.
    """

    columns = MAL_TITLES | {"item_id", "synonyms", "synopsis"}
    version = 1
    origin = "a scrape of MyAnimeList's season pages (all_seasons.jsonl)"
    needs = (Need(("all_seasons.jsonl",)),)

    def items(self) -> pl.LazyFrame:
        [[path]] = self.find_files()
        rows = scan_json([path], KEYS).with_columns(
            genres=pl.concat_str(GENRES, separator=cells.LIST_SEPARATOR),
            aired_from=pl.col("aired_from").str.slice(0, len("2006-10-04")),
        )
        optional = mal_parsers(self.columns, synonyms="title_synonyms", age_rating="rating")
        return cells.tidy(rows, required={"item_id": cells.parse_id("mal_id")}, optional=optional)
