"""MyAnimeList 2020, as published on Kaggle by hernan4444: 109 million list entries, 57 million of them rated.

    animelist.csv             user_id,anime_id,rating,watching_status,watched_episodes   (rating 0: not rated)
    rating_complete.csv       user_id,anime_id,rating   (only what the user has watched to the end)
    anime.csv                 one title a line, 35 columns; "Unknown" for whatever is not known
    anime_with_synopsis.csv   MAL_ID,Name,Score,Genders,sypnopsis   [sic; later versions say Genres]

About a third of the synopses have lost their first letters ("ars has been colonized"); they cannot be restored.
"""

from pathlib import Path

import polars as pl

from anirec.data import cells, dump, list_cells, records, time_cells
from anirec.data.layout import Layout
from anirec.data.sources.source import Dump, Need

ENTRIES = Layout(
    header=("user_id", "anime_id", "rating", "watching_status", "watched_episodes"),
    required=("user_id", "anime_id", "rating"),
    data={"user_id": r"\d+", "anime_id": r"\d+", "rating": r"\d+(\.\d+)?"},
)
VOTES = tuple(f"score-{score}" for score in range(10, 0, -1))  # how many users gave that score; "Unknown" is none
ITEMS = Layout(
    header=(
        *("mal_id", "name", "score", "genres", "english name", "japanese name", "type", "episodes", "aired"),
        *("premiered", "producers", "licensors", "studios", "source", "duration", "rating", "ranked", "popularity"),
        *("members", "favorites", "watching", "completed", "on-hold", "dropped", "plan to watch", *VOTES),
    ),
    required=("mal_id", "name", "score", "genres", "type", "episodes", "ranked", "popularity", "members", *VOTES),
    data={"mal_id": r"\d+", "members": r"\d+"},
    aliases={"genders": "genres", "anime_id": "mal_id"},
)
SYNOPSES = Layout(
    header=("mal_id", "name", "score", "genres", "synopsis"),
    required=("mal_id", "synopsis"),
    data={"mal_id": r"\d+", "score": r"\d+\.\d+|Unknown"},
    aliases={"genders": "genres", "sypnopsis": "synopsis", "anime_id": "mal_id"},
)
SAMPLE = "animelist_301users.parquet"
SAMPLE_ENTRIES = {column: column for column in ("user_id", "anime_id", "rating", "watching_status")}
# In the sample, list entries and their titles' metadata stand in one table; "rating" is the user's, "Rating" the age's.
SAMPLE_ITEMS = {
    "mal_id": "anime_id",
    **{
        column.lower(): column
        for column in (
            *("Name", "Score", "Genres", "English name", "Japanese name", "Episodes", "Aired", "Producers", "Source"),
            *("Duration", "Rating", "Ranked", "Popularity", "Members", "Favorites", *map(str.capitalize, VOTES)),
        )
    },
}


class Mal2020(Dump):
    """Ratings with status, without times; items with synopsis and rich metadata.

    Args:
        folder: The folder of the files.
        ratings: The file to read ratings from; null: animelist.csv, or what there is of rating_complete.csv and the
            parquet sample. Without any of them: titles alone.
    """

    columns = frozenset(
        {
            "user_id",
            "item_id",
            "rating",
            "status",
            "title",
            "title_english",
            "title_japanese",
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
    origin = "https://www.kaggle.com/datasets/hernan4444/anime-recommendation-database-2020"

    def __init__(self, *, folder: str, ratings: str | None) -> None:
        super().__init__(folder=folder)
        any_of = Need(("animelist.csv", "rating_complete.csv"), sample=SAMPLE, optional=True)
        self.needs = (Need((ratings,)) if ratings else any_of, Need(("anime.csv",)), Need(("anime_with_synopsis.csv",)))

    def interactions(self) -> pl.LazyFrame | None:
        entries, *_ = self.found()
        if not entries:
            return None
        [path] = entries
        rows = dump.scan_parquet(path, SAMPLE_ENTRIES) if is_sample(path) else dump.scan(path, ENTRIES)
        required = {
            "user_id": cells.identity("user_id"),
            "item_id": cells.identity("anime_id"),
            "rating": cells.rating("rating", unrated=("0", "0.0")),
        }
        return cells.tidy(rows, required=required, optional={"status": cells.status("watching_status")})

    def items(self) -> pl.LazyFrame:
        entries, [titles], [synopses] = self.found()
        rows = records.read(titles, ITEMS)
        if entries and is_sample(entries[0]):
            # The anime.csv that goes with the sample lacks the adult titles which the sample's users have rated.
            more = dump.scan_parquet(entries[0], SAMPLE_ITEMS).unique("mal_id", keep="first", maintain_order=True)
            rows = pl.concat([rows, more.join(rows, on="mal_id", how="anti", maintain_order="left")], how="diagonal")
        table = tidy_titles(rows)
        texts = cells.tidy(
            records.read(synopses, SYNOPSES),
            required={"item_id": cells.identity("mal_id")},
            optional={"synopsis": cells.synopsis("synopsis")},
        )
        readable = (
            texts.filter(pl.col("reason").is_null()).select("item_id", "synopsis").unique("item_id", keep="first")
        )
        unreadable = texts.filter(pl.col("reason").is_not_null())
        joined = table.join(readable, on="item_id", how="left", maintain_order="left")
        return pl.concat([joined, unreadable], how="diagonal")


def is_sample(path: Path) -> bool:
    return path.suffix == ".parquet"


def tidy_titles(rows: pl.LazyFrame) -> pl.LazyFrame:
    votes = [pl.col(column).str.strip_suffix(".0").cast(pl.Int64, strict=False) for column in VOTES]
    rows = rows.with_columns(pl.sum_horizontal(votes).cast(pl.String).alias("scored by"))
    optional = {
        "title": cells.title("name"),
        "title_english": cells.label("english name"),
        "title_japanese": cells.label("japanese name"),
        "type": cells.label("type"),
        "source": cells.label("source"),
        "episodes": cells.episodes("episodes"),
        "aired_from": time_cells.first_day("aired"),
        "duration": time_cells.minutes("duration"),
        "age_rating": cells.label("rating"),
        "score": cells.score("score"),
        "scored_by": cells.count("scored by"),
        "rank": cells.place("ranked"),
        "popularity": cells.place("popularity"),
        "members": cells.count("members"),
        "favorites": cells.count("favorites"),
        "producers": list_cells.names("producers"),
        "studios": list_cells.names("studios"),
        "genres": list_cells.names("genres"),
    }
    return cells.tidy(rows, required={"item_id": cells.identity("mal_id")}, optional=optional)
