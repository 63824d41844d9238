"""Each cleaning rule: which rows it removes, and how many it reports."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from anirec.data.titles.cleaning import Cleaning
from anirec.errors import UserError

RULES: dict[str, Any] = {
    "cut_texts_at": ["(source", "(Source", "[Written"],
    "character_description": False,
    "character_portrait": False,
    "score": True,
    "synopsis": True,
    "min_synopsis_words": 3,
    "main_character": True,
    "ablate_below": None,
    "ablate_min_score": 7,
    "ablate_min_words": 10,
}
TITLES = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4, 5],
        "synopsis": [
            "A boy meets a robot. [Written by MAL Rewrite]",
            "Two words (Source: ANN)",
            None,
            "One two three",
            "a b c",
        ],
        "score": pl.Series([7.0, 6.0, 5.0, None, 8.0], dtype=pl.Float32),
        "n_main_characters": pl.Series([1, 1, 1, 1, 0], dtype=pl.Int32),
    }
)


def test_each_rule_counts_what_it_removed() -> None:
    kept, removed = Cleaning(**RULES).titles(TITLES)
    assert kept["item_id"].to_list() == [1]
    assert kept["synopsis"].to_list() == ["A boy meets a robot."]
    assert removed == {"score": 1, "synopsis": 1, "min_synopsis_words": 1, "main_character": 1}


def test_a_rule_switched_off_removes_nothing() -> None:
    off = {"score": False, "synopsis": False, "min_synopsis_words": 0, "main_character": False}
    kept, removed = Cleaning(**RULES | off).titles(TITLES)
    assert len(kept) == 5
    assert removed == {}


def test_characters_without_description_or_portrait() -> None:
    characters = pl.DataFrame(
        {
            "character_id": [1, 2, 3],
            "description": ["Brave.", "(Source: wiki)", "Shy."],
            "portrait": ["a.png", "b.png", None],
        }
    )
    kept, removed = Cleaning(**RULES | {"character_description": True, "character_portrait": True}).characters(
        characters
    )
    assert kept["character_id"].to_list() == [1]
    assert removed == {"character_description": 1, "character_portrait": 1}


@pytest.fixture
def correlated() -> pl.DataFrame:
    """Titles whose score correlates with the length of the synopsis."""
    random = np.random.default_rng(0)
    score = random.uniform(5, 9, 400)
    words = (10 + 12 * (score - 5) + random.normal(0, 30, 400)).clip(3).astype(int)
    return pl.DataFrame(
        {
            "item_id": np.arange(400),
            "synopsis": ["word " * n for n in words],
            "score": score.astype(np.float32),
            "n_main_characters": np.ones(400, dtype=np.int32),
        }
    )


def test_ablation_drops_as_few_as_possible(correlated: pl.DataFrame) -> None:
    kept, removed = Cleaning(**RULES | {"ablate_below": 0.25}).titles(correlated)

    def highest(table: pl.DataFrame) -> float:
        words = table["synopsis"].str.split(" ").list.len().to_numpy() - 1
        return max(pearsonr(words, table["score"])[0], spearmanr(words, table["score"])[0])

    assert highest(correlated) > 0.3
    assert highest(kept) < 0.25
    dropped = correlated.join(kept, on="item_id", how="anti")
    assert removed["ablate_below"] == len(dropped) > 0
    assert dropped["score"].min() >= 7
    # Without dropping the shortest of them, the correlation would still be too high.
    shortest = dropped.sort(pl.col("synopsis").str.len_bytes(), "item_id", descending=[False, True])[:1]
    assert highest(pl.concat([kept, shortest.select(kept.columns)])) >= 0.25


def test_an_ablation_that_cannot_reach_the_limit_is_an_error(correlated: pl.DataFrame) -> None:
    with pytest.raises(UserError, match=r"ablate_below=0.05: dropping all \d+ titles"):
        Cleaning(**RULES | {"ablate_below": 0.05, "ablate_min_score": 8.9}).titles(correlated)
