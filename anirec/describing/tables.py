"""A corpus in tables for the terminal: what cleaning left, scores and synopses by band, what goes with the score."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from anirec.evaluation.findings import strength
from anirec.figures.style import BLUE, COLUMN, GREY, STYLE
from anirec.report import formatting as cells

Correlations = Mapping[str, tuple[float, float] | None]


def grid(rows: Sequence[tuple[str, ...]]) -> Table:
    """Lines of text in columns, without a heading."""
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table


def cleaning_table(steps: Sequence[tuple[str, str, str]]) -> Table:
    """
    Args:
        steps: As `anirec.describing.summary.cleaning_steps` writes them.
    """
    table = headed("dataset.cleaning", "removed", "left")
    for step in steps:
        table.add_row(*step)
    return table


def band_table(bands: pl.DataFrame, total: pl.DataFrame) -> Table:
    """
    Args:
        bands: As `anirec.describing.summary.by_band` makes them.
        total: The same of all titles.
    """
    table = headed("score", "titles", "mean words", "min", "max", "mean main characters")
    for name, row in [(band_name(row["from"]), row) for row in bands.iter_rows(named=True)]:
        table.add_row(name, *numbers(row))
    table.add_row("all", *numbers(total.row(0, named=True)))
    return table


def band_name(first: int) -> str:
    """
    >>> band_name(7) == f"7{cells.TO}8"
    True
    """
    return f"{first}{cells.TO}{first + 1}"


def numbers(row: Mapping[str, float]) -> list[str]:
    counts = (f"{row[name]:,}" for name in ("words_min", "words_max"))
    return [f"{row['titles']:,}", f"{row['words_mean']:.1f}", *counts, f"{row['characters_mean']:.2f}"]


def correlation_table(found: Mapping[str, Correlations]) -> Table:
    """Pearson's and Spearman's correlations with the score, each in a number and a word.

    Args:
        found: By the titles they were measured on, such as "after ablation".
    """
    table = headed("score with", "in", "Pearson", "Spearman", left=4)
    for variable in next(iter(found.values())):
        for titles, correlations in found.items():
            name = variable if titles == next(iter(found)) else ""
            table.add_row(name, titles, *map(in_words, correlations[variable] or (None, None)))
    return table


def in_words(correlation: float | None) -> str:
    """
    >>> in_words(-0.312), in_words(None)
    ('-0.312 moderate', 'does not vary')
    """
    return "does not vary" if correlation is None else f"{correlation:.3f} {strength(correlation)}"


def headed(*headings: str, left: int = 1) -> Table:
    """An empty table; all but the first columns stand to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right")
    return table


TICK = 6.5  # points: the counts of nine bands stand side by side


@rc_context(STYLE)
def by_score(bands: pl.DataFrame) -> Figure:
    """Two panels over the bands of the score, with the number of titles under each band.

    Args:
        bands: As `anirec.describing.summary.by_band` makes them.
    """
    figure = Figure(figsize=(2 * COLUMN + 0.4, 2.6), layout="constrained")
    words, characters = figure.subplots(1, 2)
    words.vlines(bands["from"], bands["words_low"], bands["words_high"], color=GREY, linewidth=4, alpha=0.4)
    means(words, bands, "words_mean", "words in the synopsis\n(mean, and the middle half)")
    means(characters, bands, "characters_mean", "main characters\n(mean)")
    return figure


def means(axes: Axes, bands: pl.DataFrame, column: str, label: str) -> None:
    axes.plot(bands["from"], bands[column], "o-", color=BLUE, markersize=4)
    ticks = [f"{band_name(first)}\n{n:,}" for first, n in bands.select("from", "titles").iter_rows()]
    axes.set_xticks(bands["from"].to_list(), ticks, fontsize=TICK)
    axes.margins(x=0.08)
    axes.set_ylim(0, 1.08 * max(axes.dataLim.ymax, 1))
    axes.set_xlabel("score, and number of titles")
    axes.set_ylabel(label)


BAR = 32  # characters of the longest
LOWEST, HIGHEST = -3, 16  # scores that have a line of their own; the others share one at each end


def score_table(scores: pl.DataFrame) -> Table:
    """
    Args:
        scores: score, population and sample, how many posts have it.
    """
    table = headed("score", "posts", "sampled", "share of posts, on a logarithmic scale")
    table.columns[-1].justify = "left"
    ends = scores.with_columns(score=pl.col("score").clip(LOWEST, HIGHEST))
    ends = ends.group_by("score").agg(pl.col("population", "sample").sum()).sort("score")
    total, most = ends["population"].sum(), float(ends["population"].to_numpy().max(initial=1))
    for score, population, sample in ends.iter_rows():
        name = {LOWEST: f"{LOWEST} and less", HIGHEST: f"{HIGHEST} and more"}.get(score, str(score))
        length = BAR * math.log1p(population) / math.log1p(most)
        table.add_row(name, f"{population:,}", f"{sample:,}", f"{'█' * round(length)} {population / total:.2%}")
    return table


def constant_table(errors: Mapping[tuple[str, str], Mapping[str, float]]) -> Table:
    """
    Args:
        errors: By constant and the posts meant: its value, its mean absolute error and its RMSE.
    """
    table = headed("always predicting", "of", "value", "MAE", "RMSE", left=2)
    for (which, of_whom), row in errors.items():
        table.add_row(which, of_whom, f"{row['value']:.3f}", f"{row['mae']:.3f}", f"{row['rmse']:.3f}")
    return table


def effect_table(effects: pl.DataFrame, n_each_way: int = 10) -> Table:
    """
    Args:
        effects: tag, effect, low, high, in points; the interval is symmetric, and holds for all tags together.
    """
    table = headed("tag", "points, 95%", "tag", "points, 95%")
    table.columns[2].justify = "left"
    up = effects.sort("effect", descending=True).head(n_each_way)
    down = effects.sort("effect").head(n_each_way)
    for above, below in zip(up.iter_rows(named=True), down.iter_rows(named=True), strict=True):
        table.add_row(*effect_cells(above), *effect_cells(below))
    return table


def effect_cells(row: dict[str, Any]) -> tuple[str, str]:
    return row["tag"], f"{row['effect']:+.3f} ±{row['high'] - row['effect']:.3f}"


def pair_table(pairs: pl.DataFrame, n: int = 10) -> Table:
    """
    Args:
        pairs: tag, other, phi, n_both; the strongest first.
    """
    table = headed("tag", "with", "phi", "posts with both", left=2)
    for tag, other, phi, n_both in pairs.head(n).iter_rows():
        table.add_row(tag, other, f"{phi:+.3f}", f"{n_both:,}")
    return table


def tie_table(ties: pl.DataFrame, n: int = 8) -> Table:
    """
    Args:
        ties: tag, and a column of phi for each tag that they are tied to.
    """
    some = ties.columns[1:]
    table = headed(*(heading for name in some for heading in (f"most tied to {name}", "phi")))
    for column in table.columns[::2]:
        column.justify = "left"
    sorted_by = [ties.sort(name, descending=True, nulls_last=True).head(n).select("tag", name).rows() for name in some]
    for row in zip(*sorted_by, strict=True):
        table.add_row(*(cell for tag, phi in row for cell in (tag, f"{phi:+.3f}")))
    return table
