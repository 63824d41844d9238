"""MyAnimeList 2023, as published on Kaggle by dbdmobile: two rating files, 24 and 35 million rows, merged.

    users-score-2023.csv     user_id,Username,anime_id,Anime Title,rating
    final_animedataset.csv   username,anime_id,my_score,user_id,gender,title,…,genre   (of 2018; my_score 0: not rated)
    anime-dataset-2023.csv   one title per line, 24 columns; "UNKNOWN" for all unknown values

Some copies of final_animedataset.csv are separated by ";", with decimal commas, and with genres spread over a varying
number of columns. Where both rating files have the same user and title, the newer file, users-score-2023.csv, counts.
"""

from pathlib import Path

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.csv import read_csv, scan_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need
from anirec.data.sources.mal_columns import MAL_TITLES, MAL_URL, mal_parsers

SCORES = Layout(
    header=("user_id", "username", "anime_id", "anime title", "rating"),
    required=("user_id", "anime_id", "anime title", "rating"),
    data={"user_id": r"\d+", "anime_id": r"\d+", "rating": r"\d+(\.\d+)?"},
)
LISTS = Layout(
    header=(
        *("username", "anime_id", "my_score", "user_id", "gender", "title", "type", "source", "score", "scored_by"),
        *("rank", "popularity", "genre"),
    ),
    required=("anime_id", "my_score", "user_id", "title"),
    data={"anime_id": r"\d+", "my_score": r"\d+(\.\d+)?", "user_id": r"\d+"},
    ragged=True,
)
ITEMS = Layout(
    header=(
        *("anime_id", "name", "english name", "other name", "score", "genres", "synopsis", "type", "episodes", "aired"),
        *("premiered", "status", "producers", "licensors", "studios", "source", "duration", "rating", "rank"),
        *("popularity", "favorites", "scored by", "members", "image url"),
    ),
    required=("anime_id", "name", "score", "episodes"),
    data={"anime_id": r"\d+", "score": r"\d+(\.\d+)?|UNKNOWN"},
    decimals=("score", "episodes", "rank", "scored by"),
)
NEWER, OLDER = "users-score-2023.csv", "final_animedataset.csv"


class Mal2023(Dump):
    """Ratings without times; items with synopsis and rich metadata (only title, score, genres and episodes in the
    five-column copy of the items file: the other columns are then empty).

    Args:
        folder: The folder of the files.
        ratings: The file to read ratings from. If null, both files are merged, or the existing one is used; without
            either, the dataset has titles only.
    """

    columns = MAL_TITLES | {"user_id", "item_id", "rating", "synopsis"}
    version = 1
    in_files = frozenset({"folder", "ratings"})
    item_url = MAL_URL
    origin = "https://www.kaggle.com/datasets/dbdmobile/myanimelist-dataset"
    n_published = 59_000_000

    def __init__(self, *, folder: str, ratings: str | None) -> None:
        super().__init__(folder=folder)
        # The order matters: where both files have the same user and title, the last one counts.
        both = Need((OLDER, NEWER), every=True, sample="final_animedataset.sample.csv", optional=True)
        items = Need(("anime-dataset-2023.csv", "anime-dataset-2023.5col.csv"))
        self.needs = (Need((ratings,)) if ratings else both, items)

    def interactions(self) -> pl.LazyFrame | None:
        paths = self.find_files()[0]
        return pl.concat([read_entries(path) for path in paths]) if paths else None

    def items(self) -> pl.LazyFrame:
        _, [path] = self.find_files()
        optional = mal_parsers(
            self.columns,
            title="name",
            title_english="english name",
            title_japanese="other name",
            aired_from="aired",
            age_rating="rating",
            scored_by="scored by",
        )
        rows = read_csv(path, ITEMS)
        return cells.tidy(rows, required={"item_id": cells.parse_id("anime_id")}, optional=optional)


def read_entries(path: Path) -> pl.LazyFrame:
    """Return the rows of a rating file, with the titles of anime, since the items file lacks some."""
    newer = path.name == NEWER
    layout, rating, title = (SCORES, "rating", "anime title") if newer else (LISTS, "my_score", "title")
    required = {
        "user_id": cells.parse_id("user_id"),
        "item_id": cells.parse_id("anime_id"),
        "rating": cells.parse_rating(rating, unrated=("0", "0.0")),
    }
    return cells.tidy(scan_csv(path, layout), required=required, optional={"title": cells.parse_raw_title(title)})
