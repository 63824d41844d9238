"""The corpus of Armenta-Segura & Sidorov (PeerJ CS 11:e2715, 2025), as released: titles split into train and test.

    Anime_train.csv, Anime_test.csv   …,Score,Synopsis,Main Characters     8.75,"In 2071, …","[1, 2, 3]"
    Char_train.csv, Char_test.csv     …,MAL ID,Description                 1,"Spike is a bounty hunter …"
    char train/, char test/           1.png, 2.png, …: the characters' portraits

Scores are those on MyAnimeList in December 2023. The published split is kept in the column `published_part`.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anirec.data.readers import cells, list_cells
from anirec.data.readers.csv import read_csv
from anirec.data.readers.layout import Layout
from anirec.data.sources.base import Dump, Need, file_names, names_digest
from anirec.data.sources.mal_columns import mal_parsers

PARTS = ("train", "test")
TITLES = Layout(
    header=("mal id", "title", "score", "synopsis", "main characters"),
    required=("score", "synopsis", "main characters"),
    data={"score": r"\d+(\.\d+)?"},
    decimals=("score",),
    aliases={"mal_id": "mal id", "anime id": "mal id", "anime_id": "mal id", "id": "mal id", "name": "title"},
)
CHARACTERS = Layout(
    header=("mal id", "name", "description"),
    required=("mal id", "description"),
    data={"mal id": r"\d+"},
    aliases={"mal_id": "mal id"},
)
FIRST_TEST_ID = 1_000_000  # of the test titles, in copies of the dump without ids


class AnimePop(Dump):
    """Titles with synopsis, score and main characters; characters with description and portrait.

    Args:
        folder: The folder of the unpacked Database.zip.
    """

    columns = frozenset(
        {
            "item_id",
            "title",
            "score",
            "synopsis",
            "published_part",
            "character_id",
            "name",
            "description",
            "portrait",
            "role",
        }
    )
    version = 1
    origin = "https://zenodo.org/records/13835115 (Database.zip)"
    needs = tuple(Need((f"{what}_{part}.csv",)) for what in ("Anime", "Char") for part in PARTS)

    def options(self) -> Mapping[str, Any]:
        return {f"portraits of {part}": names_digest(self.portraits(part)) for part in PARTS}

    def portraits(self, part: str) -> list[str]:
        return file_names(self.folder / f"char {part}")

    def titles(self, part: str) -> pl.LazyFrame:
        """Return the title rows of one part; titles without ids are numbered by their lines."""
        [path] = self.find_files()[PARTS.index(part)]
        rows = read_csv(path, TITLES)
        number = pl.col("line") + (FIRST_TEST_ID if part == "test" else 0)
        return rows.with_columns(pl.col("mal id").fill_null(number.cast(pl.String)))

    def items(self) -> pl.LazyFrame:
        optional = mal_parsers({"title", "score", "synopsis"})
        required = {"item_id": cells.parse_id("mal id")}
        tables = [
            cells.tidy(self.titles(part), required=required, optional=optional).with_columns(
                published_part=pl.lit(part)
            )
            for part in PARTS
        ]
        return pl.concat(tables)

    def characters(self) -> pl.LazyFrame:
        optional = {"name": cells.parse_label("name"), "description": cells.parse_description("description")}
        tables = []
        for part, [path] in zip(PARTS, self.find_files()[2:], strict=True):
            rows = read_csv(path, CHARACTERS)
            rows = cells.tidy(rows, required={"character_id": cells.parse_id("mal id")}, optional=optional)
            file = pl.col("character_id").cast(pl.String) + ".png"
            portrait = pl.when(file.is_in(self.portraits(part))).then(pl.lit(f"char {part}/") + file)
            tables.append(rows.with_columns(portrait=portrait))
        return pl.concat(tables)

    def appearances(self) -> pl.LazyFrame:
        required = {"item_id": cells.parse_id("mal id"), "character_id": list_cells.parse_id_list("main characters")}
        tables = [
            # Rows that cannot be read are already counted in `items`.
            cells.tidy(self.titles(part).filter(pl.col("reason").is_null()), required=required)
            for part in PARTS
        ]
        links = pl.concat(tables).explode("character_id").with_columns(role=pl.lit("Main"))
        return links.filter(pl.col("character_id").is_not_null() | pl.col("reason").is_not_null())
