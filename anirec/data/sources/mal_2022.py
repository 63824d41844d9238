"""MyAnimeList 2022, as published on Kaggle by harits: 21,460 titles with synopsis and rich metadata; no user ratings.

    Anime.csv   ID,Title,Synonyms,Japanese,English,Synopsis,…   1,Cowboy Bebop,…,24.0,R - 17+ …,8.75,846998.0,392.0,43,…

"Unknown" stands for all unknown texts. Genres, themes and demographics are all genres here, as in older dumps. The
column Ranked is not read: the scraper took the mark of a footnote for the last digit of the rank.
"""

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import read_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_TITLES, MAL_URL, mal_parsers

ITEMS = Layout(
    header=(
        *("id", "title", "synonyms", "japanese", "english", "synopsis", "type", "episodes", "status", "start_aired"),
        *("end_aired", "premiered", "broadcast", "producers", "licensors", "studios", "source", "genres", "themes"),
        *("demographics", "duration_minutes", "rating", "score", "scored_users", "ranked", "popularity", "members"),
        "favorites",
    ),
    required=("id", "title", "synopsis", "type", "score", "start_aired"),
    data={"id": r"\d+", "members": r"\d+"},
    decimals=("episodes", "duration_minutes", "score", "scored_users", "ranked"),
)
GENRES = ("genres", "themes", "demographics")


class Mal2022(Dump):
    """Titles with synopsis and metadata, without ranks by score.

    Args:
        folder: The folder of Anime.csv.
    """

    columns = (MAL_TITLES - {"rank"}) | {"item_id", "synonyms", "synopsis"}
    version = 1
    item_url = MAL_URL
    origin = "https://www.kaggle.com/datasets/harits/anime-database-2022"
    needs = (Need(("Anime.csv",)),)

    def items(self) -> pl.LazyFrame:
        [[path]] = self.find_files()
        minutes = pl.col("duration_minutes").str.replace(r"^(\d+)(\.0)?$", "${1} min")
        rows = read_csv(path, ITEMS).with_columns(
            minutes.alias("duration_minutes"), genres=pl.concat_str(GENRES, separator=",", ignore_nulls=True)
        )
        optional = mal_parsers(
            self.columns,
            title_english="english",
            title_japanese="japanese",
            aired_from="start_aired",
            duration="duration_minutes",
            age_rating="rating",
            scored_by="scored_users",
        )
        return cells.tidy(rows, required={"item_id": cells.parse_id("id")}, optional=optional)
