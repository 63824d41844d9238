"""Summaries of titles: steps of cleaning, characters, descriptions and pictures."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anirec.data.prepare.cache import prepare
from anirec.data.sources.mal_2016 import Mal2016
from anirec.data.titles.cleaning import Cleaning
from anirec.describing.summary import cleaning_steps, corpus_lines, dataset_facts, histogram

RULES: dict[str, Any] = {
    "cut_texts_at": [],
    "character_description": True,
    "character_portrait": False,
    "score": True,
    "synopsis": False,
    "min_synopsis_words": 20,
    "main_character": True,
    "ablate_below": 0.2,
    "ablate_min_score": 7,
    "ablate_min_words": 100,
}
REMOVED = {
    "titles_read": 1_100,
    "character_description": 30,
    "score": 50,
    "min_synopsis_words": 40,
    "main_character": 0,
    "ablate_below": 10,
    "titles_kept": 1_000,
}


def test_cleaning_steps_count_what_each_rule_removes_and_leaves() -> None:
    assert cleaning_steps(Cleaning(**RULES), REMOVED, n_characters=1_200) == [
        ("characters read", "", "1,200"),
        ("  character_description=true", "30", "1,170"),
        ("titles read", "", "1,100"),
        ("  score=true", "50", "1,050"),
        ("  min_synopsis_words=20", "40", "1,010"),
        ("  main_character=true", "0", "1,010"),
        ("  ablate_below=0.2", "10", "1,000"),
        ("titles kept", "", "1,000"),
    ]


LISTS = {"characters": pl.List(pl.Int64), "descriptions": pl.List(pl.String), "portraits": pl.List(pl.String)}
TITLES = pl.DataFrame(
    {
        "cluster": [0, 0, 1, 2],
        "poster": [None, "b.jpg", "c.jpg", None],
        "characters": [[7, 8], [8], [9, None], []],
        "descriptions": [["A hunter.", "A cook of few words."], ["A cook of few words."], [None, None], []],
        "portraits": [["7.png", None], ["8.png"], [None, "c.jpg"], []],
    },
    schema_overrides=LISTS,
)


def test_characters_of_several_titles_are_counted_once() -> None:
    assert dict(corpus_lines(TITLES)) == {
        "main characters": "3; 1.00 per title",
        "franchises": "3; the largest has 50.0% of titles (2)",
        "descriptions": "of 2 main characters, in 50.0% of titles (2)",
        "description length": "2 to 5 words, mean 3.5",
        "portraits": "in 50.0% of titles (2)",
        "only a poster": "in 25.0% of titles (1)",
    }


@pytest.mark.parametrize("dtype", [pl.Int64(), pl.String()])
def test_titles_without_characters(dtype: pl.DataType) -> None:
    empty = {name: pl.Series(name, [[]] * len(TITLES), pl.List(inner)) for name, inner in list_types(dtype).items()}
    lines = dict(corpus_lines(TITLES.with_columns(**empty)))
    assert lines["main characters"] == "none known; each title is a franchise of its own"
    assert lines["portraits"] == "in 0.0% of titles (0)"
    assert "descriptions" not in lines


def list_types(ids: pl.DataType) -> dict[str, pl.DataType]:
    return {"characters": ids, "descriptions": pl.String(), "portraits": pl.String()}


@pytest.mark.parametrize(
    ("ratings", "rating", "bars"),
    [
        (["1,8,8/10", "1,9,-1"], None, []),
        (["1,8,8"], "8.000", [("8", 40)]),
        (["1,8,8", "1,9,8", "2,8,7"], "7.667 ± 0.577", [("7", 20), ("8", 40)]),
    ],
    ids=["none readable", "one", "several"],
)
def test_few_ratings(tmp_path: Path, ratings: list[str], rating: str | None, bars: list[tuple[str, int]]) -> None:
    (tmp_path / "rating.csv").write_text("\n".join(["user_id,anime_id,rating", *ratings]))
    (tmp_path / "anime.csv").write_text("anime_id,name,type,episodes,rating,members\n8,Paper Lantern,TV,1,7,9\n")
    source = Mal2016(folder=str(tmp_path))
    prepared = prepare(source, tmp_path)
    assert dict(dataset_facts(source, prepared)).get("rating") == rating
    assert [(value, bar.count("█")) for value, bar in histogram(prepared)] == bars
