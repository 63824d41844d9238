"""Data of the MALSugoi project: 601 scraped lists, in which titles serve as ids.

    anime_info.csv   username,anime,rating                                        user0002,Drifters,-   (-: not rated)
    anime_data.csv   title,score,genres,ranked,popularity,members,favorites       …,#1,#187,"941,889","56,180"

The lists name titles in English, anime_data.csv in romanised Japanese, so that only a third of the rows can be joined.
Some titles were scraped twice because the ranking changed between two pages; the first row counts.
"""

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import read_csv, scan_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import mal_parsers

LISTS = Layout(
    header=("username", "anime", "rating"),
    required=("username", "anime", "rating"),
    data={"rating": r"-|\d+"},
)
ITEMS = Layout(
    header=("title", "score", "genres", "ranked", "popularity", "members", "favorites"),
    required=("title", "score", "genres", "ranked", "popularity", "members", "favorites"),
    data={"ranked": r"#\d+", "members": r"[\d,]+"},
    decimals=("score",),
)


class Malsugoi(Dump):
    """Ratings without times; a third of the titles have genres, score, ranks, members and favourites.

    Args:
        folder: The folder of anime_info.csv and anime_data.csv.
    """

    columns = frozenset(
        {"user_id", "item_id", "rating", "title", "genres", "score", "rank", "popularity", "members", "favorites"}
    )
    version = 1
    origin = "the MALSugoi project's repository (anime_info.csv and anime_data.csv)"
    needs = (Need(("anime_info.csv",)), Need(("anime_data.csv",)))

    def interactions(self) -> pl.LazyFrame:
        [path], _ = self.find_files()
        required = {
            "user_id": cells.parse_user_name("username"),
            "item_id": cells.parse_title_id("anime"),
            "rating": cells.parse_rating("rating", unrated=("-",)),
        }
        return cells.tidy(scan_csv(path, LISTS), required=required)

    def items(self) -> pl.LazyFrame:
        _, [path] = self.find_files()
        optional = mal_parsers(self.columns, rank="ranked")
        rows = read_csv(path, ITEMS)
        return cells.tidy(rows, required={"item_id": cells.parse_title_id("title")}, optional=optional)
