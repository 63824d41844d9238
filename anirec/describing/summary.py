"""What a dataset is, and what its reader made of it, in words and numbers."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from anirec.data.prepare.cache import Prepared
from anirec.data.ratings.filters import status_counts
from anirec.data.sources.base import Source
from anirec.data.titles.cleaning import Cleaning, Removed, correlations, n_words


def facts(source: Source, prepared: Prepared) -> list[tuple[str, str]]:
    """(what, how much) lines about the prepared tables."""
    lines = [] if prepared.interactions is None else rating_lines(prepared.interactions)
    lines += [] if prepared.posts is None else post_lines(prepared.posts)
    lines += report_lines(prepared.report)
    return [*lines, ("columns", ", ".join(sorted(source.columns))), ("fingerprint", prepared.fingerprint)]


def rating_lines(interactions: Path) -> list[tuple[str, str]]:
    rows = pl.scan_parquet(interactions)
    numbers: dict[str, Any] = (
        rows.select(
            interactions=pl.len(),
            rated=pl.col("rating").count(),
            users=pl.col("user_id").n_unique(),
            titles=pl.col("item_id").n_unique(),
            mean=pl.col("rating").mean(),
            deviation=pl.col("rating").std(),
        )
        .collect()
        .row(0, named=True)
    )
    lines = [(name, f"{numbers[name]:,}") for name in ("interactions", "rated", "users", "titles")]
    lines.append(("rating", f"{numbers['mean']:.3f} ± {numbers['deviation']:.3f}"))
    for status, of in status_counts(rows).items():
        lines.append((status.replace("_", " "), f"{of['rows']:,} entries, {of['rated']:,} of them rated"))
    density = numbers["rated"] / (numbers["users"] * numbers["titles"])
    lines.append(("density", f"{density:.3%} of all user-title pairs are rated"))
    return lines


def post_lines(posts: Path) -> list[tuple[str, str]]:
    rows = pl.read_parquet(posts, columns=["score", "timestamp"])
    score = rows["score"].drop_nulls().to_numpy()
    lines = [("posts", f"{len(rows):,}"), ("with a score", f"{len(score):,}")]
    if len(score):
        lines.append(("score", f"{score.mean():.3f} ± {score.std():.3f}, from {score.min()} to {score.max()}"))
        lines.append(("score of 0", f"{(score == 0).mean():.1%} of posts"))
    if rows["timestamp"].count():
        first, last = np.sort(rows["timestamp"].drop_nulls().dt.date().to_numpy())[[0, -1]]
        lines.append(("posted", f"{first} to {last}"))
    return lines


def report_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"{value:,}") for name, value in report.items() if isinstance(value, int)]


def histogram(prepared: Prepared, width: int = 40) -> list[tuple[str, str]]:
    """(rating, bar) lines: the share of each whole rating; none without interactions."""
    if prepared.interactions is None:
        return []
    rating = pl.col("rating").round().cast(pl.Int32)
    counts = pl.scan_parquet(prepared.interactions).drop_nulls("rating").group_by(rating).len().sort("rating").collect()
    largest, total = counts["len"].max(), counts["len"].sum()
    return [
        (str(value), f"{'█' * max(1, round(width * count / largest))} {count / total:.1%}")
        for value, count in counts.iter_rows()
    ]


def cleaning_steps(cleaning: Cleaning, removed: Removed, n_characters: int) -> list[tuple[str, str, str]]:
    """(rule, removed, left) lines, in the order in which rules apply, those of characters before those of titles.

    Args:
        removed: As `Catalogue.clean` counts.
        n_characters: Main characters before cleaning.
    """
    counts = dict(removed)
    n_titles, n_kept = counts.pop("titles_read"), counts.pop("titles_kept")
    of_characters = {rule: counts.pop(rule) for rule in list(counts) if rule.startswith("character_")}
    lines = steps("characters", n_characters, of_characters, cleaning) if of_characters else []
    return [*lines, *steps("titles", n_titles, counts, cleaning), ("titles kept", "", f"{n_kept:,}")]


def steps(what: str, n_read: int, removed: Removed, cleaning: Cleaning) -> list[tuple[str, str, str]]:
    left, lines = n_read, [(f"{what} read", "", f"{n_read:,}")]
    for rule, count in removed.items():
        left -= count
        lines.append((f"  {rule}={str(getattr(cleaning, rule)).lower()}", f"{count:,}", f"{left:,}"))
    return lines


def corpus_lines(titles: pl.DataFrame) -> list[tuple[str, str]]:
    """(what, how much) lines about the titles of a corpus, their characters and pictures."""
    cast = titles.select("characters", "descriptions").explode("characters", "descriptions").drop_nulls("characters")
    texts = cast.unique("characters").select(words=n_words("descriptions")).filter(pl.col("words") > 0)
    in_franchise = titles["cluster"].value_counts(name="n")["n"].to_list()
    n_described, n_shown, n_posters = titles.select(holds("descriptions"), holds("portraits"), by_poster()).sum().row(0)
    if not len(cast):
        lines = [("main characters", "none is known: each title is a franchise of its own")]
    else:
        lines = [
            ("main characters", f"{cast['characters'].n_unique():,}; {len(cast) / len(titles):.2f} a title"),
            ("franchises", f"{len(in_franchise):,}; the largest holds {share(max(in_franchise), titles)}"),
            ("descriptions", f"of {len(texts):,} main characters, in {share(n_described, titles)}"),
        ]
    if len(texts):
        measures = texts.select(pl.min("words"), max=pl.max("words"), mean=pl.mean("words")).row(0)
        lines.append(("words of one", "{:,} to {:,}, mean {:.1f}".format(*measures)))
    return [
        *lines,
        ("portraits", f"in {share(n_shown - n_posters, titles)}"),
        ("only a poster", f"in {share(n_posters, titles)}"),
    ]


def holds(column: str) -> pl.Expr:
    """Whether anything in a list is known."""
    return pl.col(column).list.drop_nulls().list.len() > 0


def by_poster() -> pl.Expr:
    """Whether a title has no portraits, and a poster in their place."""
    return (pl.col("portraits").list.last() == pl.col("poster")).alias("by_poster")


def share(count: int, titles: pl.DataFrame) -> str:
    """
    >>> share(3, pl.DataFrame({"item_id": [1, 2, 3, 4]}))
    '75.0% of titles (3)'
    """
    return f"{count / len(titles):.1%} of titles ({count:,})"


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
