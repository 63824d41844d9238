"""Terminal tables of `anirec data describe`, about titles and posts, and the figure of titles by score."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.table import Table

from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.evaluation.findings import strength
from anirec.report import formatting as cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Correlations = Mapping[str, tuple[float, float] | None]


def grid(rows: Sequence[tuple[str, ...]]) -> Table:
    """Return a table of text without headings."""
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table


def cleaning_table(steps: Sequence[tuple[str, str, str]]) -> Table:
    """Return a table of cleaning rules.

    Args:
        steps: Lines of `summary.cleaning_steps`.
    """
    table = create_table("dataset.cleaning", "removed", "left")
    for step in steps:
        table.add_row(*step)
    return table


def band_table(bands: pl.DataFrame, total: pl.DataFrame, scale: Scale = MAL) -> Table:
    """Return a table of titles, synopsis lengths and main characters by score.

    Args:
        bands: Rows of `summary.statistics_by_band`.
        total: The row of `summary.statistics_of_all`.
        scale: The scale of the scores.
    """
    table = create_table("score", "titles", "mean words", "min", "max", "mean main characters")
    for name, row in [(band_name(row["from"], scale), row) for row in bands.iter_rows(named=True)]:
        table.add_row(name, *band_cells(row))
    table.add_row("all", *band_cells(total.row(0, named=True)))
    return table


def band_name(first: float, scale: Scale = MAL) -> str:
    """Return the name of the band from a score to the next.

    >>> band_name(7) == f"7{cells.TO}8"
    True
    """
    return f"{first:g}{cells.TO}{first + scale.point:g}"


def band_cells(row: Mapping[str, float]) -> list[str]:
    counts = (f"{row[name]:,}" for name in ("words_min", "words_max"))
    return [f"{row['titles']:,}", f"{row['words_mean']:.1f}", *counts, f"{row['characters_mean']:.2f}"]


def correlation_table(found: Mapping[str, Correlations]) -> Table:
    """Return a table of Pearson and Spearman correlations with the score, each as a number and a word.

    Args:
        found: Correlations for each set of titles, such as "1,200 after ablation".
    """
    table = create_table("score and", "in", "Pearson", "Spearman", left=4)
    for variable in next(iter(found.values())):
        for titles, correlations in found.items():
            name = variable if titles == next(iter(found)) else ""
            table.add_row(name, titles, *map(format_correlation, correlations[variable] or (None, None)))
    return table


def format_correlation(correlation: float | None) -> str:
    """Return a correlation and its strength; None stands for a constant variable.

    >>> format_correlation(-0.312), format_correlation(None)
    ('-0.312 moderate', 'constant')
    """
    return "constant" if correlation is None else f"{correlation:.3f} {strength(correlation)}"


def create_table(*headings: str, left: int = 1) -> Table:
    """Return an empty table; the first `left` columns are aligned to the left, the others to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right")
    return table


TICK_SIZE = 6.5  # points, so that the counts of nine bands fit side by side


def plot_by_score(bands: pl.DataFrame, scale: Scale = MAL) -> "Figure":
    """Plot synopsis length and main characters by score, with the number of titles under each band.

    Args:
        bands: Rows of `summary.statistics_by_band`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from anirec.figures.style import COLUMN, GREY, STYLE

    with rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN + 0.4, 2.6), layout="constrained")
        figure.suptitle("Length of synopsis and number of main characters by score")
        words, characters = figure.subplots(1, 2)
        words.vlines(bands["from"], bands["words_low"], bands["words_high"], color=GREY, linewidth=4, alpha=0.4)
        plot_means(words, bands, scale, "words_mean", "words in the synopsis\n(mean; grey: middle 50%)")
        plot_means(characters, bands, scale, "characters_mean", "main characters\n(mean)")
    return figure


def plot_means(axes: "Axes", bands: pl.DataFrame, scale: Scale, column: str, label: str) -> None:
    from anirec.figures.style import BLUE

    axes.plot(bands["from"], bands[column], "o", color=BLUE, markersize=4)
    ticks = [f"{band_name(first, scale)}\n{n:,}" for first, n in bands.select("from", "titles").iter_rows()]
    axes.set_xticks(bands["from"].to_list(), ticks, fontsize=TICK_SIZE)
    axes.margins(x=0.08)
    axes.set_ylim(0, 1.08 * max(axes.dataLim.ymax, 1))
    axes.set_xlabel("score, and number of titles")
    axes.set_ylabel(label)


BAR = 32  # characters of the longest bar
LOWEST, HIGHEST = -3, 16  # scores with a line of their own; lower and higher ones share a line each


def score_table(scores: pl.DataFrame) -> Table:
    """Return a histogram of the scores of posts.

    Args:
        scores: score, and how many posts have it in the population and in the sample.
    """
    table = create_table("score", "posts", "sampled", "share of posts, on a logarithmic scale")
    table.columns[-1].justify = "left"
    ends = scores.with_columns(score=pl.col("score").clip(LOWEST, HIGHEST))
    ends = ends.group_by("score").agg(pl.col("population", "sample").sum()).sort("score")
    total, most = ends["population"].sum(), float(ends["population"].to_numpy().max(initial=1))
    for score, population, sample in ends.iter_rows():
        name = {LOWEST: f"{LOWEST} or less", HIGHEST: f"{HIGHEST} or more"}.get(score, str(score))
        length = BAR * math.log1p(population) / math.log1p(most)
        table.add_row(name, f"{population:,}", f"{sample:,}", f"{'█' * round(length)} {population / total:.2%}")
    return table


def constant_table(errors: Mapping[tuple[str, str], Mapping[str, float]]) -> Table:
    """Return a table of the errors of constant predictions.

    Args:
        errors: For each constant and set of posts, the value, the MAE and the RMSE.
    """
    table = create_table("constant prediction", "of", "value", "MAE", "RMSE", left=2)
    for (constant, posts), row in errors.items():
        table.add_row(constant, posts, f"{row['value']:.3f}", f"{row['mae']:.3f}", f"{row['rmse']:.3f}")
    return table


def effect_table(effects: pl.DataFrame, n_each_way: int = 10) -> Table:
    """Return the tags with the largest positive and negative effects on the score.

    Args:
        effects: tag, and effect, low and high in points; intervals are symmetric and simultaneous for all tags.
        n_each_way: Number of tags in each direction.
    """
    table = create_table("tag", "points, 95%", "tag", "points, 95%")
    table.columns[2].justify = "left"
    up = effects.sort("effect", descending=True).head(n_each_way)
    down = effects.sort("effect").head(n_each_way)
    for above, below in zip(up.iter_rows(named=True), down.iter_rows(named=True), strict=True):
        table.add_row(*effect_cells(above), *effect_cells(below))
    return table


def effect_cells(row: dict[str, Any]) -> tuple[str, str]:
    return row["tag"], f"{row['effect']:+.3f} ±{row['high'] - row['effect']:.3f}"


def pair_table(pairs: pl.DataFrame, n: int = 10) -> Table:
    """Return the most strongly correlated pairs of tags.

    Args:
        pairs: tag, other, phi (correlation), n_both (posts with both); strongest first.
        n: Number of pairs.
    """
    table = create_table("tag", "with", "phi", "posts with both", left=2)
    for tag, other, phi, n_both in pairs.head(n).iter_rows():
        table.add_row(tag, other, f"{phi:+.3f}", f"{n_both:,}")
    return table


def tie_table(ties: pl.DataFrame, n: int = 8) -> Table:
    """Return, for each of some tags, the tags that are most strongly correlated with it.

    Args:
        ties: tag, and for each of some tags a column of the correlation phi with it.
        n: Number of tags in each column.
    """
    names = ties.columns[1:]
    table = create_table(*(heading for name in names for heading in (f"correlated with {name}", "phi")))
    for column in table.columns[::2]:
        column.justify = "left"
    sorted_by = [ties.sort(name, descending=True, nulls_last=True).head(n).select("tag", name).rows() for name in names]
    for row in zip(*sorted_by, strict=True):
        table.add_row(*(cell for tag, phi in row for cell in (tag, f"{phi:+.3f}")))
    return table
