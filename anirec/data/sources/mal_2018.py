"""MyAnimeList 2018, as published on Kaggle by azathoth42: 31 million list entries with times (cleaned files).

    animelists_cleaned.csv   username,anime_id,…,my_score,my_status,…,my_last_updated,my_tags   (score 0: not rated)
    AnimeList.csv            one title per line, 31 columns; `rating` is the age rating, `score` the mean, 0: unscored

The column `aired` ({'from': '2018-05-11', …}) is not used: where only the month was known, the scraper filled in the
day of the scrape. `aired_string` holds what was known.
"""

import polars as pl

from anirec.data.readers import cells, time_cells
from anirec.data.readers.csv import read_csv, scan_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_TITLES, MAL_URL, mal_parsers

ENTRIES = Layout(
    header=(
        "username",
        "anime_id",
        "my_watched_episodes",
        "my_start_date",
        "my_finish_date",
        "my_score",
        "my_status",
        "my_rewatching",
        "my_rewatching_ep",
        "my_last_updated",
        "my_tags",
    ),
    required=("username", "anime_id", "my_score", "my_status", "my_last_updated"),
    data={"anime_id": r"\d+", "my_score": r"\d+", "my_status": r"\d+"},
)
ITEMS = Layout(
    header=(
        *("anime_id", "title", "title_english", "title_japanese", "title_synonyms", "image_url", "type", "source"),
        *("episodes", "status", "airing", "aired_string", "aired", "duration", "rating", "score", "scored_by", "rank"),
        *("popularity", "members", "favorites", "background", "premiered", "broadcast", "related", "producer"),
        *("licensor", "studio", "genre", "opening_theme", "ending_theme"),
    ),
    required=("anime_id", "title", "type", "source", "episodes", "aired_string", "rating", "score"),
    data={"anime_id": r"\d+", "score": r"\d+(\.\d+)?"},
    decimals=("score",),
)


class Mal2018(Dump):
    """Ratings with status and time of the last change; items with rich metadata, without synopsis.

    Args:
        folder: The folder of animelists_cleaned.csv (or animelists_filtered.csv) and AnimeList.csv.
    """

    columns = MAL_TITLES | {"user_id", "item_id", "rating", "status", "timestamp", "synonyms"}
    version = 1
    item_url = MAL_URL
    origin = "https://www.kaggle.com/datasets/azathoth42/myanimelist"
    n_published = 31_000_000
    needs = (
        Need(
            ("animelists_cleaned.csv", "animelists_filtered.csv", "UserAnimeList.csv"),
            sample="animelists_cleaned.sample.csv",
        ),
        Need(("AnimeList.csv", "anime_cleaned.csv", "anime_filtered.csv")),
    )

    def interactions(self) -> pl.LazyFrame:
        [path], _ = self.find_files()
        rows = scan_csv(path, ENTRIES)
        required = {
            "user_id": cells.parse_user_name("username"),
            "item_id": cells.parse_id("anime_id"),
            "rating": cells.parse_rating("my_score", unrated=("0", "0.0")),
        }
        optional = {
            "status": cells.parse_status("my_status"),
            "timestamp": time_cells.parse_datetime("my_last_updated"),
        }
        return cells.tidy(rows, required=required, optional=optional)

    def items(self) -> pl.LazyFrame:
        _, [path] = self.find_files()
        rows = read_csv(path, ITEMS)
        optional = mal_parsers(
            self.columns,
            synonyms="title_synonyms",
            aired_from="aired_string",
            age_rating="rating",
            producers="producer",
            studios="studio",
            genres="genre",
        )
        return cells.tidy(rows, required={"item_id": cells.parse_id("anime_id")}, optional=optional)
