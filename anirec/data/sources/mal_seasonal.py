"""MyAnimeList's TV seasons 2006-2027, unreleased titles included: full synopsis, score, members; no ratings by users.

all_seasons.jsonl   one object a title, {"mal_id": 1535, "title": "Death Note", "studios": ["Madhouse"], …}

MyAnimeList keeps genres, themes and demographics apart since 2021; here, as in its older dumps, all of them are genres.
"""

import polars as pl

from anirec.data import cells, list_cells, objects, time_cells
from anirec.data.sources.source import Dump, Need

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

    columns = frozenset(
        {
            "item_id",
            "title",
            "title_english",
            "title_japanese",
            "synonyms",
            "type",
            "source",
            "episodes",
            "aired_from",
            "duration",
            "age_rating",
            "score",
            "scored_by",
            "rank",
            "popularity",
            "members",
            "favorites",
            "producers",
            "studios",
            "genres",
            "synopsis",
        }
    )
    version = 1
    origin = "a scrape of MyAnimeList's seasons (all_seasons.jsonl)"
    needs = (Need(("all_seasons.jsonl",)),)

    def items(self) -> pl.LazyFrame:
        [[path]] = self.found()
        rows = objects.scan([path], KEYS).with_columns(
            genres=pl.concat_str(GENRES, separator=cells.BETWEEN),
            aired_from=pl.col("aired_from").str.slice(0, len("2006-10-04")),
        )
        optional = {
            "title": cells.title("title"),
            "title_english": cells.label("title_english"),
            "title_japanese": cells.label("title_japanese"),
            "synonyms": list_cells.parts("title_synonyms"),
            "type": cells.label("type"),
            "source": cells.label("source"),
            "episodes": cells.episodes("episodes"),
            "aired_from": time_cells.first_day("aired_from"),
            "duration": time_cells.minutes("duration"),
            "age_rating": cells.label("rating"),
            "score": cells.score("score"),
            "scored_by": cells.count("scored_by"),
            "rank": cells.place("rank"),
            "popularity": cells.place("popularity"),
            "members": cells.count("members"),
            "favorites": cells.count("favorites"),
            "producers": list_cells.parts("producers"),
            "studios": list_cells.parts("studios"),
            "genres": list_cells.parts("genres"),
            "synopsis": cells.synopsis("synopsis"),
        }
        return cells.tidy(rows, required={"item_id": cells.identity("mal_id")}, optional=optional)
