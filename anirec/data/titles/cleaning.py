"""Cleaning a corpus as published, rule by rule, with a count of what each one removed."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy.stats import pearsonr, spearmanr

from anirec.data.readers.cells import empty_to_null
from anirec.errors import UserError
from anirec.settings import Configurable, Count, PositiveShare

Removed = dict[str, int]


class Cleaning(Configurable):
    """Which characters and titles are kept. Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025.

    Args:
        cut_texts_at: Synopses and descriptions end before the first of these.
        character_description: Whether characters without a description are dropped.
        character_portrait: Likewise for the portrait.
        score: Whether titles without a score are dropped.
        synopsis: Likewise without a synopsis.
        min_synopsis_words: Titles whose synopsis has fewer words are dropped; 0 keeps all.
        main_character: Whether titles without any (remaining) main character are dropped.
        ablate_below: Of the titles with a high score and a long synopsis, the longest are dropped, as few as possible,
            until the length of the synopsis correlates with the score by less than this (Pearson and Spearman);
            None drops none.
        ablate_min_score: What a high score is.
        ablate_min_words: What a long synopsis is.
    """

    def __init__(
        self,
        *,
        cut_texts_at: list[str],
        character_description: bool,
        character_portrait: bool,
        score: bool,
        synopsis: bool,
        min_synopsis_words: Count,
        main_character: bool,
        ablate_below: PositiveShare | None,
        ablate_min_score: float,
        ablate_min_words: Count,
    ) -> None:
        self.cut_texts_at = list(cut_texts_at)
        self.character_description, self.character_portrait = character_description, character_portrait
        self.score, self.synopsis, self.main_character = score, synopsis, main_character
        self.min_synopsis_words = min_synopsis_words
        self.ablate_below = ablate_below
        self.ablate_min_score, self.ablate_min_words = ablate_min_score, ablate_min_words

    def characters(self, table: pl.DataFrame) -> tuple[pl.DataFrame, Removed]:
        """The characters that are kept, their descriptions cut; and how many each rule dropped."""
        table = table.with_columns(cut(pl.col("description"), self.cut_texts_at))
        rules = {
            "character_description": self.character_description and pl.col("description").is_not_null(),
            "character_portrait": self.character_portrait and pl.col("portrait").is_not_null(),
        }
        return kept(table, rules)

    def titles(self, table: pl.DataFrame) -> tuple[pl.DataFrame, Removed]:
        """The titles that are kept, their synopses cut; and how many each rule dropped."""
        table = table.with_columns(cut(pl.col("synopsis"), self.cut_texts_at))
        rules = {
            "score": self.score and pl.col("score").is_not_null(),
            "synopsis": self.synopsis and pl.col("synopsis").is_not_null(),
            "min_synopsis_words": self.min_synopsis_words > 0 and n_words("synopsis") >= self.min_synopsis_words,
            "main_character": self.main_character and pl.col("n_main_characters") > 0,
        }
        table, removed = kept(table, rules)
        if self.ablate_below is None:
            return table, removed
        longest = self.ablated(table, self.ablate_below)
        return table.filter(~pl.col("item_id").is_in(longest.implode())), {**removed, "ablate_below": len(longest)}

    def ablated(self, table: pl.DataFrame, below: float) -> pl.Series:
        """Ids of the titles that the ablation drops, longest synopsis first.

        Raises:
            UserError: Even without all titles that may go, the correlations are not low enough.
        """
        words = table.select("item_id", "score", words=n_words("synopsis"))
        eligible = words.filter(pl.col("score") >= self.ablate_min_score, pl.col("words") > self.ablate_min_words)
        ids = eligible.sort("words", "item_id", descending=[True, False])["item_id"]
        left = words.join(ids.to_frame(), on="item_id", how="anti")
        back = words.join(ids.to_frame().with_row_index("place"), on="item_id").sort("place")
        for n_dropped in range(len(ids) + 1):
            rows = pl.concat([left, back[n_dropped:].drop("place").select(left.columns)])
            if max(correlations(rows["words"], rows["score"])) < below:
                return ids[:n_dropped]
        raise UserError(
            f"dataset.cleaning.ablate_below={below}: dropping all {len(ids)} titles with a score from "
            f"{self.ablate_min_score} and more than {self.ablate_min_words} words is not enough; "
            "lower dataset.cleaning.ablate_min_score or ablate_min_words, or raise ablate_below"
        )


def kept(table: pl.DataFrame, rules: Mapping[str, pl.Expr | bool]) -> tuple[pl.DataFrame, Removed]:
    """Apply the rules in turn; one that is switched off is False."""
    removed = {}
    for name, rule in rules.items():
        if isinstance(rule, pl.Expr):
            before, table = len(table), table.filter(rule)
            removed[name] = before - len(table)
    return table, removed


def cut(text: pl.Expr, marks: Sequence[str]) -> pl.Expr:
    """`text` before the first of the marks; null where nothing is left.

    >>> texts = pl.DataFrame({"synopsis": ["A boy meets a robot. (Source: ANN)", "[Written by MAL]"]})
    >>> texts.select(cut(pl.col("synopsis"), ["(Source", "[Written"])).to_series().to_list()
    ['A boy meets a robot.', None]
    """
    if marks:
        pattern = "|".join(map(re.escape, marks))
        text = text.str.replace(f"(?s)(?:{pattern}).*$", "")
    return empty_to_null(text.str.strip_chars())


def n_words(column: str) -> pl.Expr:
    """Number of words between white space; 0 of a null."""
    return pl.col(column).str.count_matches(r"\S+").fill_null(0)


def correlations(first: pl.Series, second: pl.Series) -> tuple[float, float]:
    """Pearson's and Spearman's; 0 where one of the columns is constant."""
    if first.n_unique() < 2 or second.n_unique() < 2:
        return 0.0, 0.0
    columns = first.to_numpy().astype(np.float64), second.to_numpy().astype(np.float64)
    return float(pearsonr(*columns).statistic), float(spearmanr(*columns).statistic)
