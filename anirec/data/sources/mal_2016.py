"""MyAnimeList 2016, as published on Kaggle by CooperUnion: 7.8 million ratings of 73,516 users.

rating.csv   user_id,anime_id,rating                            1,20,-1    (-1: seen, not rated)
anime.csv    anime_id,name,genre,type,episodes,rating,members   9969,Gintama&#039;,"Action, Comedy",TV,51,9.16,151266
"""

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import read_csv, scan_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_URL, mal_parsers

RATINGS = Layout(
    header=("user_id", "anime_id", "rating"),
    required=("user_id", "anime_id", "rating"),
    data={"user_id": r"\d+", "anime_id": r"\d+", "rating": r"-?\d+(\.\d+)?"},
)
ITEMS = Layout(
    header=("anime_id", "name", "genre", "type", "episodes", "rating", "members"),
    required=("anime_id", "name", "type", "episodes", "rating", "members"),
    data={"anime_id": r"\d+", "members": r"\d+"},
    decimals=("rating",),
)


class Mal2016(Dump):
    """Ratings without times; items with genres, type, episodes, score and members.

    Args:
        folder: The folder of rating.csv and anime.csv.
    """

    columns = frozenset({"user_id", "item_id", "rating", "title", "genres", "type", "episodes", "score", "members"})
    version = 1
    item_url = MAL_URL
    origin = "https://www.kaggle.com/datasets/CooperUnion/anime-recommendations-database"
    n_published = 7_800_000
    needs = (Need(("rating.csv",)), Need(("anime.csv",)))

    def interactions(self) -> pl.LazyFrame:
        [path], _ = self.find_files()
        rows = scan_csv(path, RATINGS)
        required = {
            "user_id": cells.parse_id("user_id"),
            "item_id": cells.parse_id("anime_id"),
            "rating": cells.parse_rating("rating", unrated=("-1", "-1.0")),
        }
        return cells.tidy(rows, required=required)

    def items(self) -> pl.LazyFrame:
        _, [path] = self.find_files()
        rows = read_csv(path, ITEMS)
        optional = mal_parsers(self.columns, title="name", genres="genre", score="rating")
        return cells.tidy(rows, required={"item_id": cells.parse_id("anime_id")}, optional=optional)
