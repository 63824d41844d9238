"""Safebooru: posts of an image board with tags and votes, from the published dump or from responses of an API.

all_data.csv   dump by alamson on Kaggle, made with the API of the site
    id,created_at,rating,score,sample_url,sample_width,sample_height,preview_url,tags
    1,1264803292,s,4,//…,850,1202,//…,1girl bag blue_hair
*.json, *.jsonl, *.xml   responses of the API of Safebooru, Danbooru and similar boards; one object per post
    {"id": 4021, "score": 2, "tags": "1girl solo", "rating": "safe", "width": 520, "height": 613, "change": 1264803292}
    {"_id": 73510, "score": 2, "tag_string": ["2girls", "back-to-back"], "created_at": "2006-09-29T21:30:17.000-04:00"}
    {"id": 9, "score": {"up": 5, "down": -1, "total": 4}, "tags": {"general": ["solo", "long hair"], "artist": ["ann"]}}
    <post id="4021" score="2" tags=" 1girl solo " rating="safe"/>

The API returns a score of null where nobody has voted or the score is withheld. Such posts count for the frequency of
tags, but are not used in training. Responses overlap if new posts arrive while they are fetched; the first copy of a
post counts. HTML entities in tags (`don&#039;t`) are replaced.
"""

from pathlib import Path

import polars as pl

from anirec.data.readers import cells, list_cells, time_cells
from anirec.data.readers.csv import scan_csv
from anirec.data.readers.json_objects import scan_json
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need

CSV = Layout(
    header=(
        "id",
        "created_at",
        "rating",
        "score",
        "sample_url",
        "sample_width",
        "sample_height",
        "preview_url",
        "tags",
    ),
    required=("id", "score", "tags"),
    data={"id": r"\d+", "score": r"-?\d+"},
)
FIRST_POSTS = 1000  # posts that show how tags are separated
# Names of each column in the dump and in the APIs of Safebooru and Danbooru.
NAMES = {
    "post_id": ("id", "_id"),
    "score": ("score",),
    "tags": ("tag_string", "tags"),
    "timestamp": ("created_at", "change"),
    "age_rating": ("rating",),
    "width": ("image_width", "width", "sample_width"),
    "height": ("image_height", "height", "sample_height"),
}


class Safebooru(Dump):
    """Posts with tags, score, time and size.

    Args:
        folder: The folder of all_data.csv, or of JSON files.
    """

    columns = frozenset({"post_id", "score", "tags", "timestamp", "age_rating", "width", "height"})
    version = 1
    origin = "https://www.kaggle.com/datasets/alamson/safebooru"
    n_published = 1_900_000
    needs = (Need(("all_data.csv", "*.json, *.jsonl, *.xml")),)

    def posts(self) -> pl.LazyFrame:
        [paths] = self.find_files()
        rows = text_rows(paths)
        optional = {
            "score": cells.parse_votes("score"),
            "tags": list_cells.parse_tags("tags", separator=list_cells.tag_separator(first_texts(rows))),
            "timestamp": time_cells.parse_datetime("timestamp"),
            "age_rating": cells.parse_label("age_rating"),
            "width": cells.parse_count("width", dtype=pl.Int32),
            "height": cells.parse_count("height", dtype=pl.Int32),
        }
        return cells.tidy(rows, required={"post_id": cells.parse_id("post_id")}, optional=optional)


def first_texts(rows: pl.LazyFrame) -> pl.Series:
    """Return the tags of the first posts, as text."""
    return rows.head(FIRST_POSTS).select("tags").collect()["tags"].drop_nulls()


def text_rows(paths: list[Path]) -> pl.LazyFrame:
    """Return the rows as text, with their columns under the names of the schema."""
    if paths[0].suffix == ".csv":
        rows, available = scan_csv(paths[0], CSV), frozenset(CSV.header)
    else:
        available = frozenset(name for names in NAMES.values() for name in names)
        rows = scan_json(paths, tuple(sorted(available)))
    columns = {}
    for column, names in NAMES.items():
        values = [pl.when(pl.col(name) != "").then(pl.col(name)) for name in names if name in available]
        columns[column] = pl.coalesce(*values, pl.lit(""))
    return rows.select("file", "line", "reason", "text", **columns)
