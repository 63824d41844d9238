"""Statistics of datasets: facts about ratings, posts and titles, steps of cleaning, and correlates of the score."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from anirec.data.prepare.cache import Prepared
from anirec.data.ratings.filters import status_counts
from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.data.sources.base import Source
from anirec.data.titles.cleaning import Cleaning, Removed, correlations, n_words


def dataset_facts(source: Source, prepared: Prepared) -> list[tuple[str, str]]:
    """Return (name, value) lines about the prepared tables of a source."""
    lines = [] if prepared.interactions is None else rating_lines(prepared.interactions)
    lines += [] if prepared.posts is None else post_lines(prepared.posts)
    lines += report_lines(prepared.report)
    return [*lines, ("columns", ", ".join(sorted(source.columns))), ("fingerprint", prepared.fingerprint)]


def rating_lines(interactions: Path) -> list[tuple[str, str]]:
    rows = pl.scan_parquet(interactions, glob=False)
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
    if numbers["rated"]:
        deviation = "" if numbers["deviation"] is None else f" ± {numbers['deviation']:.3f}"
        lines.append(("rating", f"{numbers['mean']:.3f}{deviation}"))
    for status, counts in status_counts(rows).items():
        lines.append((status.replace("_", " "), f"{counts['rows']:,} entries, {counts['rated']:,} of them rated"))
    n, what = (numbers["rated"], "rated") if numbers["rated"] else (numbers["interactions"], "interactions")
    density = n / (numbers["users"] * numbers["titles"])
    lines.append(("density", f"{density:.3%} of all user-title pairs are {what}"))
    return lines


def post_lines(posts: Path) -> list[tuple[str, str]]:
    rows = pl.read_parquet(posts, columns=["score", "timestamp"], glob=False)
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


MOST_BARS = 20  # of a histogram


def histogram(prepared: Prepared, width: int = 40) -> list[tuple[str, str]]:
    """Return (rating, bar) lines with the share of each rating, rounded to steps of the scale.

    Where these are more than `MOST_BARS`, a line stands for several steps and has the name of the first. There are none
    without ratings.
    """
    if prepared.interactions is None:
        return []
    scale = prepared.scale
    n_steps = round((scale.high - scale.low) / scale.step)
    at_once = -(-n_steps // MOST_BARS)
    place = ((pl.col("rating").cast(pl.Float64) - scale.low) / scale.step).round()
    place = (place // at_once).clip(upper_bound=(n_steps - 1) // at_once) * at_once if at_once > 1 else place
    rating = place * scale.step + scale.low
    counts = (
        pl.scan_parquet(prepared.interactions, glob=False)
        .drop_nulls("rating")
        .group_by(rating.alias("rating"))
        .len()
        .sort("rating")
        .collect()
    )
    largest, total = counts["len"].max(), counts["len"].sum()
    return [
        (f"{value:g}", f"{'█' * max(1, round(width * count / largest))} {count / total:.1%}")
        for value, count in counts.iter_rows()
    ]


def cleaning_steps(cleaning: Cleaning, removed: Removed, n_characters: int) -> list[tuple[str, str, str]]:
    """Return (rule, removed, left) lines in the order of the rules; rules on characters precede those on titles.

    Args:
        cleaning: The rules.
        removed: Counts as returned by `Catalogue.clean`.
        n_characters: Number of main characters before cleaning.
    """
    counts = dict(removed)
    n_titles, n_kept = counts.pop("titles_read"), counts.pop("titles_kept")
    of_characters = {rule: counts.pop(rule) for rule in list(counts) if rule.startswith("character_")}
    lines = rule_lines("characters", n_characters, of_characters, cleaning) if of_characters else []
    return [*lines, *rule_lines("titles", n_titles, counts, cleaning), ("titles kept", "", f"{n_kept:,}")]


def rule_lines(what: str, n_read: int, removed: Removed, cleaning: Cleaning) -> list[tuple[str, str, str]]:
    left, lines = n_read, [(f"{what} read", "", f"{n_read:,}")]
    for rule, count in removed.items():
        left -= count
        lines.append((f"  {rule}={str(getattr(cleaning, rule)).lower()}", f"{count:,}", f"{left:,}"))
    return lines


def corpus_lines(titles: pl.DataFrame) -> list[tuple[str, str]]:
    """Return (name, value) lines about the main characters, descriptions and pictures of titles."""
    cast = titles.select("characters", "descriptions").explode("characters", "descriptions").drop_nulls("characters")
    texts = cast.unique("characters").select(words=n_words("descriptions")).filter(pl.col("words") > 0)
    in_franchise = titles["cluster"].value_counts(name="n")["n"].to_list()
    n_described, n_shown, n_posters = (
        titles.select(has_any("descriptions"), has_any("portraits"), has_only_poster()).sum().row(0)
    )
    if not len(cast):
        lines = [("main characters", "none known; each title is a franchise of its own")]
    else:
        lines = [
            ("main characters", f"{cast['characters'].n_unique():,}; {len(cast) / len(titles):.2f} per title"),
            ("franchises", f"{len(in_franchise):,}; the largest has {count_share(max(in_franchise), titles)}"),
            ("descriptions", f"of {len(texts):,} main characters, in {count_share(n_described, titles)}"),
        ]
    if len(texts):
        statistics = texts.select(pl.min("words"), max=pl.max("words"), mean=pl.mean("words")).row(0)
        lines.append(("description length", "{:,} to {:,} words, mean {:.1f}".format(*statistics)))
    return [
        *lines,
        ("portraits", f"in {count_share(n_shown - n_posters, titles)}"),
        ("only a poster", f"in {count_share(n_posters, titles)}"),
    ]


def has_any(column: str) -> pl.Expr:
    """Whether a list has an element that is not null."""
    return pl.col(column).list.drop_nulls().list.len() > 0


def has_only_poster() -> pl.Expr:
    """Whether a title has its poster in place of portraits."""
    return (pl.col("portraits").list.last() == pl.col("poster")).alias("by_poster")


def count_share(count: int, titles: pl.DataFrame) -> str:
    """Return a number of titles, and its share of all titles, as text.

    >>> count_share(3, pl.DataFrame({"item_id": [1, 2, 3, 4]}))
    '75.0% of titles (3)'
    """
    return f"{count / len(titles):.1%} of titles ({count:,})"


VARIABLES: Mapping[str, pl.Expr] = {
    "synopsis words": n_words("synopsis"),
    "main characters": pl.col("n_main_characters"),
}
N_BANDS = 9  # of one point; the highest score is counted in the last one


def statistics_by_band(titles: pl.DataFrame, scale: Scale = MAL) -> pl.DataFrame:
    """Return one row of statistics for each ninth of the scale that has titles, lowest first: 1 to 2, … 9 to 10.

    The columns are `from` (Float64), `titles`, `words_mean`, `words_min`, `words_low` and `words_high` (quartiles) and
    `words_max` of the synopsis, and `characters_mean`, the mean number of main characters.

    >>> titles = pl.DataFrame({"score": [7.9, 7.0, 10.0], "synopsis": ["a b", "a", ""], "n_main_characters": [1, 4, 2]})
    >>> statistics_by_band(titles).select("from", "titles", "words_mean", "characters_mean").rows()
    [(7.0, 2, 1.5, 2.5), (9.0, 1, 0.0, 2.0)]
    """
    band = ((pl.col("score").cast(pl.Float64) - scale.low) / scale.point).floor().clip(upper_bound=N_BANDS - 1)
    return titles.group_by((band * scale.point + scale.low).alias("from")).agg(**band_statistics()).sort("from")


def statistics_of_all(titles: pl.DataFrame) -> pl.DataFrame:
    """Return the statistics of `statistics_by_band` over all titles, in one row without `from`."""
    return titles.select(**band_statistics())


def band_statistics() -> dict[str, pl.Expr]:
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


def score_correlations(titles: pl.DataFrame) -> dict[str, tuple[float, float] | None]:
    """Return Pearson and Spearman correlations of each variable with the score; None where either is constant.

    >>> titles = pl.DataFrame({"score": [6.0, 7.0], "synopsis": ["a", "a b"], "n_main_characters": [1, 1]})
    >>> {name: found and round(found[0]) for name, found in score_correlations(titles).items()}
    {'synopsis words': 1, 'main characters': None}
    """
    columns = titles.select("score", **VARIABLES)
    varying = {name for name in columns.columns if columns[name].n_unique() > 1}
    return {
        name: correlations(columns[name], columns["score"]) if {name, "score"} <= varying else None
        for name in VARIABLES
    }


def before_ablation(cleaning: Cleaning) -> Cleaning:
    """Return the same rules without the ablation, which lowers the correlation of synopsis length and score."""
    unablated = copy(cleaning)
    unablated.ablate_below = None
    return unablated
