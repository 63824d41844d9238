"""Cleaning of titles and characters: rules, as published, and the number of rows that each one removes."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from anirec.data.readers.cells import empty_to_null
from anirec.errors import UserError
from anirec.settings import Configurable, Count, PositiveShare

Removed = dict[str, int]


class Cleaning(Configurable):
    """Rules that decide which characters and titles are kept.

    Args:
        cut_texts_at: Synopses and descriptions are cut before the first occurrence of any of these.
        character_description: Whether to drop characters without a description.
        character_portrait: Whether to drop characters without a portrait.
        score: Whether to drop titles without a score.
        synopsis: Whether to drop titles without a synopsis.
        min_synopsis_words: Minimum number of words in the synopsis of a title; 0 keeps all.
        main_character: Whether to drop titles without a (remaining) main character.
        ablate_below: Drop titles with a high score and a long synopsis, longest first and as few as possible, until
            Pearson's and Spearman's correlations between the length of the synopsis and the score are both below this;
            None drops no titles.
        ablate_min_score: Lowest score that counts as high.
        ablate_min_words: A synopsis with more words than this counts as long.

    Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025.
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
        """Return the characters that are kept, with cut descriptions, and how many each rule dropped."""
        table = table.with_columns(cut_text(pl.col("description"), self.cut_texts_at))
        rules = {
            "character_description": self.character_description and pl.col("description").is_not_null(),
            "character_portrait": self.character_portrait and pl.col("portrait").is_not_null(),
        }
        return apply_rules(table, rules)

    def titles(self, table: pl.DataFrame) -> tuple[pl.DataFrame, Removed]:
        """Return the titles that are kept, with cut synopses, and how many each rule dropped."""
        table = table.with_columns(cut_text(pl.col("synopsis"), self.cut_texts_at))
        rules = {
            "score": self.score and pl.col("score").is_not_null(),
            "synopsis": self.synopsis and pl.col("synopsis").is_not_null(),
            "min_synopsis_words": self.min_synopsis_words > 0 and n_words("synopsis") >= self.min_synopsis_words,
            "main_character": self.main_character and pl.col("n_main_characters") > 0,
        }
        table, removed = apply_rules(table, rules)
        if self.ablate_below is None:
            return table, removed
        longest = self.titles_to_ablate(table, self.ablate_below)
        return table.filter(~pl.col("item_id").is_in(longest.implode())), {**removed, "ablate_below": len(longest)}

    def titles_to_ablate(self, table: pl.DataFrame, below: float) -> pl.Series:
        """Return the ids of the titles that the ablation drops, longest synopsis first.

        Raises:
            UserError: The correlations are not low enough even if all titles are dropped that may be.
        """
        words = table.select("item_id", "score", words=n_words("synopsis"))
        eligible = words.filter(pl.col("score") >= self.ablate_min_score, pl.col("words") > self.ablate_min_words)
        ids = eligible.sort("words", "item_id", descending=[True, False])["item_id"]
        others = words.join(ids.to_frame(), on="item_id", how="anti")
        longest_first = words.join(ids.to_frame().with_row_index("rank"), on="item_id").sort("rank")
        for n_dropped in range(len(ids) + 1):
            rows = pl.concat([others, longest_first[n_dropped:].select(others.columns)])
            if max(correlations(rows["words"], rows["score"])) < below:
                return ids[:n_dropped]
        raise UserError(
            f"dataset.cleaning.ablate_below={below}: dropping all {len(ids)} titles with a score of at least "
            f"{self.ablate_min_score} and more than {self.ablate_min_words} words does not reach this correlation. "
            "Lower dataset.cleaning.ablate_min_score or ablate_min_words, or raise ablate_below."
        )


def apply_rules(table: pl.DataFrame, rules: Mapping[str, pl.Expr | bool]) -> tuple[pl.DataFrame, Removed]:
    """Apply the rules in order, and count the rows that each one drops; a rule that is switched off is False."""
    removed = {}
    for name, rule in rules.items():
        if isinstance(rule, pl.Expr):
            before, table = len(table), table.filter(rule)
            removed[name] = before - len(table)
    return table, removed


def cut_text(text: pl.Expr, marks: Sequence[str]) -> pl.Expr:
    """Return `text` up to the first of the marks; null where nothing is left.

    >>> texts = pl.DataFrame({"synopsis": ["A boy meets a robot. (Source: ANN)", "[Written by MAL]"]})
    >>> texts.select(cut_text(pl.col("synopsis"), ["(Source", "[Written"])).to_series().to_list()
    ['A boy meets a robot.', None]
    """
    if marks:
        pattern = "|".join(map(re.escape, marks))
        text = text.str.replace(f"(?s)(?:{pattern}).*$", "")
    return empty_to_null(text.str.strip_chars())


def n_words(column: str) -> pl.Expr:
    """Return the number of words separated by white space; 0 for null."""
    return pl.col(column).str.count_matches(r"\S+").fill_null(0)


def correlations(first: pl.Series, second: pl.Series) -> tuple[float, float]:
    """Return Pearson's and Spearman's correlations; 0 if one of the columns is constant."""
    if first.n_unique() < 2 or second.n_unique() < 2:
        return 0.0, 0.0
    from scipy.stats import pearsonr, spearmanr

    columns = first.to_numpy().astype(np.float64), second.to_numpy().astype(np.float64)
    return float(pearsonr(*columns).statistic), float(spearmanr(*columns).statistic)
