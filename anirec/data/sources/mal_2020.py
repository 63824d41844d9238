"""MyAnimeList 2020, as published on Kaggle by hernan4444: 109 million list entries, 57 million of them rated.

    animelist.csv             user_id,anime_id,rating,watching_status,watched_episodes   (rating 0: not rated)
    rating_complete.csv       user_id,anime_id,rating   (only titles that the user has completed)
    anime.csv                 one title per line, 35 columns; "Unknown" for all unknown values
    anime_with_synopsis.csv   MAL_ID,Name,Score,Genders,sypnopsis   [sic; later versions say Genres]

About a third of the synopses have lost their first letters ("ars has been colonized"); they cannot be restored.
"""

from pathlib import Path

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import read_csv, scan_csv, scan_parquet
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_TITLES, MAL_URL, mal_parsers

ENTRIES = Layout(
    header=("user_id", "anime_id", "rating", "watching_status", "watched_episodes"),
    required=("user_id", "anime_id", "rating"),
    data={"user_id": r"\d+", "anime_id": r"\d+", "rating": r"\d+(\.\d+)?"},
)
# How many users gave each score. If only some of a title's cells are "Unknown", these count as 0.
VOTES = tuple(f"score-{score}" for score in range(10, 0, -1))
ITEMS = Layout(
    header=(
        *("mal_id", "name", "score", "genres", "english name", "japanese name", "type", "episodes", "aired"),
        *("premiered", "producers", "licensors", "studios", "source", "duration", "rating", "ranked", "popularity"),
        *("members", "favorites", "watching", "completed", "on-hold", "dropped", "plan to watch", *VOTES),
    ),
    required=("mal_id", "name", "score", "type", "episodes", "ranked", "popularity", "members", *VOTES),
    data={"mal_id": r"\d+", "members": r"\d+"},
    decimals=("score", "ranked", *VOTES),
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
# In the sample, one table holds list entries and metadata of their titles: "rating" is the user's rating, "Rating" the
# age rating.
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
        ratings: The file to read ratings from. If null, the first that exists of animelist.csv, rating_complete.csv and
            the parquet sample; without any of them, the dataset has titles only.
    """

    columns = MAL_TITLES | {"user_id", "item_id", "rating", "status", "synopsis"}
    version = 2
    in_files = frozenset({"folder", "ratings"})
    item_url = MAL_URL
    origin = "https://www.kaggle.com/datasets/hernan4444/anime-recommendation-database-2020"
    n_published = 57_000_000

    def __init__(self, *, folder: str, ratings: str | None) -> None:
        super().__init__(folder=folder)
        any_of = Need(("animelist.csv", "rating_complete.csv"), sample=SAMPLE, optional=True)
        self.needs = (Need((ratings,)) if ratings else any_of, Need(("anime.csv",)), Need(("anime_with_synopsis.csv",)))

    def interactions(self) -> pl.LazyFrame | None:
        entries, *_ = self.find_files()
        if not entries:
            return None
        [path] = entries
        rows = scan_parquet(path, SAMPLE_ENTRIES) if is_sample(path) else scan_csv(path, ENTRIES)
        required = {
            "user_id": cells.parse_id("user_id"),
            "item_id": cells.parse_id("anime_id"),
            "rating": cells.parse_rating("rating", unrated=("0", "0.0")),
        }
        return cells.tidy(rows, required=required, optional={"status": cells.parse_status("watching_status")})

    def items(self) -> pl.LazyFrame:
        entries, [titles], [synopses] = self.find_files()
        rows = read_csv(titles, ITEMS)
        if entries and is_sample(entries[0]):
            # The anime.csv published with the sample lacks the adult titles that the sample's users have rated.
            more = scan_parquet(entries[0], SAMPLE_ITEMS).unique("mal_id", keep="first", maintain_order=True)
            rows = pl.concat([rows, more.join(rows, on="mal_id", how="anti", maintain_order="left")], how="diagonal")
        table = parse_titles(rows)
        texts = cells.tidy(
            read_csv(synopses, SYNOPSES),
            required={"item_id": cells.parse_id("mal_id")},
            optional={"synopsis": cells.parse_synopsis("synopsis")},
        )
        readable = (
            texts.filter(pl.col("reason").is_null()).select("item_id", "synopsis").unique("item_id", keep="first")
        )
        unreadable = texts.filter(pl.col("reason").is_not_null())
        joined = table.join(readable, on="item_id", how="left", maintain_order="left")
        return pl.concat([joined, unreadable], how="diagonal")


def is_sample(path: Path) -> bool:
    return path.suffix == ".parquet"


def parse_titles(rows: pl.LazyFrame) -> pl.LazyFrame:
    optional = mal_parsers(
        MAL_TITLES,
        title="name",
        title_english="english name",
        title_japanese="japanese name",
        aired_from="aired",
        age_rating="rating",
        scored_by="scored by",
        rank="ranked",
    )
    rows = rows.with_columns(scored_by().alias("scored by"))
    return cells.tidy(rows, required={"item_id": cells.parse_id("mal_id")}, optional=optional)


def scored_by() -> pl.Expr:
    """Return the sum of the votes as text: "Unknown" if all are unknown; the first unreadable cell if there is one."""
    votes = [cells.parse_count(column) for column in VOTES]
    found = [(vote.text(), vote.read(vote.text())) for vote in votes]
    unreadable = [pl.when(text.is_not_null() & number.is_null()).then(text) for text, number in found]
    some = pl.any_horizontal(number.is_not_null() for _, number in found)
    total = pl.when(some).then(pl.sum_horizontal(number for _, number in found)).cast(pl.String)
    return pl.coalesce(*unreadable, total, pl.lit("Unknown"))
