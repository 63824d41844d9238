"""Extraneous variables: what ought to say nothing of how good a title is, and yet goes with its score.

A long synopsis makes no title better, but well-judged ones get longer synopses. Source: Armenta-Segura & Sidorov,
PeerJ CS 11:e2715, 2025 (tables 1 to 5, figure 1).
"""

from collections.abc import Mapping
from copy import copy

import polars as pl

from anirec.data.titles.cleaning import Cleaning, correlations, n_words

VARIABLES: Mapping[str, pl.Expr] = {
    "synopsis words": n_words("synopsis"),
    "main characters": pl.col("n_main_characters"),
}
BEST = 10  # of scores; such a title is counted with those from 9


def by_band(titles: pl.DataFrame) -> pl.DataFrame:
    """One row for each whole score that there is, lowest first.

    `from` (Int32), `titles`, `words_mean`, `words_min`, `words_low` and `words_high` (quartiles), `words_max`, and
    `characters_mean`, of main characters.

    >>> titles = pl.DataFrame({"score": [7.9, 7.0, 10.0], "synopsis": ["a b", "a", ""], "n_main_characters": [1, 4, 2]})
    >>> by_band(titles).select("from", "titles", "words_mean", "characters_mean").rows()
    [(7, 2, 1.5, 2.5), (9, 1, 0.0, 2.0)]
    """
    band = pl.col("score").floor().clip(upper_bound=BEST - 1).cast(pl.Int32).alias("from")
    return titles.group_by(band).agg(**measured()).sort("from")


def of_all(titles: pl.DataFrame) -> pl.DataFrame:
    """The columns of `by_band` but `from`, of all titles in one row."""
    return titles.select(**measured())


def measured() -> dict[str, pl.Expr]:
    words = VARIABLES["synopsis words"]
    return {
        "titles": pl.len(),
        "words_mean": words.mean(),
        "words_min": words.min(),
        "words_low": words.quantile(0.25, "linear"),
        "words_high": words.quantile(0.75, "linear"),
        "words_max": words.max(),
        "characters_mean": VARIABLES["main characters"].mean(),
    }


def with_score(titles: pl.DataFrame) -> dict[str, tuple[float, float] | None]:
    """Pearson's and Spearman's correlation of each variable with the score; None where one of the two does not vary.

    >>> titles = pl.DataFrame({"score": [6.0, 7.0], "synopsis": ["a", "a b"], "n_main_characters": [1, 1]})
    >>> {name: found and round(found[0]) for name, found in with_score(titles).items()}
    {'synopsis words': 1, 'main characters': None}
    """
    columns = titles.select("score", **VARIABLES)
    varying = {name for name in columns.columns if columns[name].n_unique() > 1}
    return {
        name: correlations(columns[name], columns["score"]) if {name, "score"} <= varying else None
        for name in VARIABLES
    }


def before_ablation(cleaning: Cleaning) -> Cleaning:
    """The same rules, less the one that makes the length of the synopsis tell little of the score."""
    others = copy(cleaning)
    others.ablate_below = None
    return others
