"""Posts of an image board in tables for the terminal: scores, what tags do to them, which tags go together."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl
from rich.table import Table

from anirec.describing.tables import headed

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
