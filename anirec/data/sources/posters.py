"""Posters of titles by MyAnimeList id; to be joined to dumps with the same ids.

posters_index.csv   mal_id,file,width,height,bytes    1535,images/1535.jpg,212,318,26671
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anirec.data.readers import cells
from anirec.data.readers.cells import CellParser
from anirec.data.readers.csv import read_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need, is_inside, names_digest

INDEX = Layout(
    header=("mal_id", "picture"),
    required=("mal_id", "picture"),
    data={"mal_id": r"\d+"},
    aliases={"file": "picture"},
)


class Posters(Dump):
    """Posters of titles. A path to outside the folder is rejected; a missing picture is noted.

    Args:
        folder: The folder of posters_index.csv and of the pictures that it names.
    """

    columns = frozenset({"item_id", "poster"})
    version = 1
    origin = "a collection of posters by MyAnimeList id, with an index (posters_index.csv)"
    needs = (Need(("posters_index.csv",)),)

    def options(self) -> Mapping[str, Any]:
        named = self.rows().collect()["poster"].drop_nulls()
        return {"pictures": names_digest([name for name in named if self.is_there(name)])}

    def items(self) -> pl.LazyFrame:
        absent = pl.col("poster").map_batches(self.are_absent, return_dtype=pl.Boolean, is_elementwise=True)
        rows = self.rows().with_columns(note=pl.when(absent).then(pl.lit("poster")).otherwise("note"))
        return rows.with_columns(poster=pl.when(pl.col("note").is_null()).then("poster"))

    def rows(self) -> pl.LazyFrame:
        """Return the rows of the index, including those whose pictures do not exist."""
        [[path]] = self.find_files()
        inside = CellParser("picture", self.if_inside, "a path inside the folder", blank=())
        required = {"item_id": cells.parse_id("mal_id"), "poster": inside}
        return cells.tidy(read_csv(path, INDEX), required=required)

    def if_inside(self, name: pl.Expr) -> pl.Expr:
        def read(names: pl.Series) -> pl.Series:
            kept = [name if name is not None and is_inside(self.folder, name) else None for name in names]
            return pl.Series(names.name, kept, pl.String)

        return name.map_batches(read, return_dtype=pl.String, is_elementwise=True)

    def is_there(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def are_absent(self, names: pl.Series) -> pl.Series:
        return pl.Series(names.name, [name is not None and not self.is_there(name) for name in names], pl.Boolean)
