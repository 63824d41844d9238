"""A corpus of several sources: joined columns, dropped titles, and clusters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
import torch

from anirec.data.sources.base import Source
from anirec.data.splits.rows import Random
from anirec.data.splits.titles import Cluster
from anirec.data.titles.cleaning import Cleaning
from anirec.data.titles.datamodule import Corpus, titles_of
from anirec.errors import UserError
from anirec.features.tabular import Counts

RULES: dict[str, Any] = {
    "cut_texts_at": ["(Source"],
    "character_description": False,
    "character_portrait": False,
    "score": True,
    "synopsis": True,
    "min_synopsis_words": 2,
    "main_character": True,
    "ablate_below": None,
    "ablate_min_score": 7,
    "ablate_min_words": 100,
}


class Written(Source):
    """A source with the given tables."""

    columns: ClassVar = frozenset()
    version = 1

    def __init__(self, **tables: pl.DataFrame) -> None:
        self.tables = tables
        self.columns = frozenset(column for table in tables.values() for column in table.columns)  # type: ignore[misc]

    def options(self) -> Mapping[str, Any]:
        return {name: table.to_dict(as_series=False) for name, table in self.tables.items()}

    def items(self) -> pl.LazyFrame | None:
        return self.tables["items"].lazy() if "items" in self.tables else None

    def characters(self) -> pl.LazyFrame | None:
        return self.tables["characters"].lazy() if "characters" in self.tables else None

    def appearances(self) -> pl.LazyFrame | None:
        return self.tables["appearances"].lazy() if "appearances" in self.tables else None


# 1 and 3 share nobody, but each shares someone with 2, which has no score. 4 has only a supporting character.
ITEMS = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4, 5, 6],
        "title": list("abcdef"),
        "synopsis": ["one robot", "two robots", "a ghost (Source: x)", "a nobody", "a fish", "a bird"],
        "score": pl.Series([7.0, None, 6.0, 5.0, 8.0, 9.0], dtype=pl.Float32),
    }
)
CAST = pl.DataFrame(
    {
        "item_id": [1, 2, 2, 3, 4, 5, 6],
        "character_id": [10, 10, 11, 11, 12, 13, 14],
        "role": ["Main", "Main", "Main", "Main", "Supporting", "Main", "Main"],
    }
)
PEOPLE = pl.DataFrame({"character_id": [10, 13], "name": ["Rob", "Finn"], "description": ["Steel.", None]})
POSTERS = pl.DataFrame({"item_id": [5, 99], "poster": ["5.jpg", "99.jpg"]})


def corpus(cache: Path, **changes: Any) -> Corpus:
    settings: dict[str, Any] = {
        "source": Written(items=ITEMS),
        "joined": {"characters": Written(appearances=CAST, characters=PEOPLE), "posters": Written(items=POSTERS)},
        "cleaning": Cleaning(**RULES),
        "split": Random(test=0.25, val=0.25, seed=0),
        "cache": str(cache),
    }
    made = Corpus(**settings | changes)
    made.setup("fit")
    return made


def test_titles_are_joined_cleaned_and_counted(cache: Path) -> None:
    data = corpus(cache)
    assert data.titles["title"].to_list() == ["a", "c", "e", "f"]
    assert data.titles["synopsis"].to_list()[1] == "a ghost"
    assert data.removed == {
        "titles_read": 6, "score": 1, "synopsis": 0, "min_synopsis_words": 0, "main_character": 1, "titles_kept": 4,
    }  # fmt: skip
    assert data.titles["descriptions"].to_list() == [["Steel."], [None], [None, None], [None]]
    assert data.titles["n_main_characters"].to_list() == [1, 1, 1, 1]


def test_a_poster_stands_in_for_portraits(cache: Path) -> None:
    row = corpus(cache).titles.row(2, named=True)
    assert row["characters"] == [13, None]
    assert row["portraits"][0] is None
    assert row["portraits"][1].endswith("/5.jpg")
    assert Path(row["portraits"][1]).is_absolute()


def test_a_title_that_cleaning_drops_still_connects_a_franchise(cache: Path) -> None:
    cluster = corpus(cache).titles["cluster"].to_list()
    assert cluster[0] == cluster[1]
    assert len(set(cluster)) == 3
    data = corpus(cache, split=Cluster(test=0.25, val=0.25, seed=1))
    assert len(set(data.parts[:2])) == 1


def test_without_characters_every_title_is_a_cluster(cache: Path) -> None:
    data = corpus(cache, joined=None, cleaning=Cleaning(**RULES | {"main_character": False}))
    assert data.titles["cluster"].n_unique() == len(data.titles) == 5


def test_an_error_names_the_rule_that_leaves_no_title(cache: Path) -> None:
    with pytest.raises(UserError, match=r"Relax a rule, such as dataset.cleaning.min_synopsis_words"):
        corpus(cache, cleaning=Cleaning(**RULES | {"min_synopsis_words": 50}))


def test_rows_of_a_users_file_are_converted_to_titles() -> None:
    rows = pl.DataFrame({"synopsis": ["a cat (Source: x)", None], "descriptions": [["Sly.", None], None]})
    titles = titles_of(rows, cut_at=["(Source"])
    assert titles["synopsis"].to_list() == ["a cat", None]
    assert titles["portraits"].to_list() == [[None, None], []]
    assert titles["n_main_characters"].to_list() == [2, None]
    with pytest.raises(UserError, match="no column synopsis; there are plot"):
        titles_of(pl.DataFrame({"plot": ["x"]}), cut_at=[])


def test_an_unknown_count_is_the_mean_of_training_titles(cache: Path) -> None:
    known = pl.DataFrame({"synopsis": ["a b", "a b c"], "n_main_characters": [1, 4]})
    branch = Counts(columns=["n_main_characters"])
    branch.fit(known)
    branch.look(known.with_columns(n_main_characters=pl.Series([None, 4])), cache=cache, device=torch.device("cpu"))
    values = branch(torch.arange(2)).values.flatten()
    assert values[0] == 0
    assert values[1] > 0
