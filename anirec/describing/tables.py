"""A corpus in tables for the terminal: what cleaning left, scores and synopses by band, what goes with the score."""

from collections.abc import Mapping, Sequence

import polars as pl
from rich.table import Table

from anirec.evaluation.impact import strength
from anirec.report import numbers as cells

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
        bands: As `anirec.describing.surface_features.by_band` makes them.
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
