"""Comparison of the published figures of a study with the results of our runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
from rich.table import Table

from anirec.errors import UserError
from anirec.report import formatting as cells

MEAN, STD = ":mean", ":std"
COLUMNS = ("model", "settings", "data", "metric", "published", "ours", "difference", "source", "note")
Line = tuple[str, ...]


def read_published_figures(path: Path) -> pl.DataFrame:
    """Read `published.csv`: columns model, source, one per metric (test/…) and, optionally, note.

    Raises:
        UserError: The file or a required column is missing.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is missing. Expected the published figures in columns such as model, source, test/rmse, note."
        )
    figures = pl.read_csv(path, infer_schema_length=None)
    if missing := {"model", "source"}.difference(figures.columns):
        raise UserError(f"{path}: missing columns: {', '.join(sorted(missing))}.")
    return figures


def read_our_figures(path: Path) -> pl.DataFrame:
    """Read a CSV file of `anirec.report.compare`; columns without values are read as numbers, too."""
    rows = pl.read_csv(path, infer_schema_length=None)
    return rows.with_columns(cs.matches(":(mean|std|low|high)$").cast(pl.Float64), pl.col("settings").cast(pl.String))


def compare_figures(published: pl.DataFrame, ours: pl.DataFrame) -> list[Line]:
    """Return rows of COLUMNS: one for each published figure and each of our settings of that model.

    Args:
        published: Published figures; see `read_published_figures`.
        ours: Our results; see `read_our_figures`.
    """
    lines = []
    for row in published.iter_rows(named=True):
        for metric in [name for name in published.columns if name.startswith("test/") and row[name] is not None]:
            groups = ours.filter(pl.col("model") == row["model"])
            groups = groups.drop_nulls(metric + MEAN) if metric + MEAN in ours.columns else groups.clear()
            lines += [comparison_row(row, metric, one) for one in groups.iter_rows(named=True)] or [
                (row["model"], "", "", metric, f"{row[metric]:g}", "not run", "", row["source"], note_of(row))
            ]
    return lines


def comparison_row(published: dict[str, Any], metric: str, ours: dict[str, Any]) -> Line:
    """Return the row of one published figure and one group of our runs."""
    labels = (published["model"], ours["settings"] or "", f"{ours['dataset']}, {ours['split']} split")
    numbers = format_figures(published[metric], ours[metric + MEAN], ours[metric + STD])
    return *labels, metric, *numbers, published["source"], note_of(published)


def note_of(published: dict[str, Any]) -> str:
    """Return the note of a published figure, such as a reason why it cannot be compared; empty if there is none."""
    return str(published.get("note") or "")


def format_figures(published: float, mean: float, std: float | None) -> tuple[str, str, str]:
    """Return the published figure, ours and the difference (ours - published).

    >>> format_figures(1.1805, 1.18174, None), format_figures(0.8706, 0.90123, 0.0021)
    (('1.1805', '1.1817', '+0.0012'), ('0.8706', '0.9012 ±0.0021', '+0.0306'))
    """
    places = cells.decimals([published, mean])
    return f"{published:g}", cells.spread(mean, std, places), f"{mean - published:+.{places}f}"


def figures_table(lines: Sequence[Line], *, title: str) -> Table:
    table = Table(*COLUMNS, title=title, title_justify="left", box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    return table


def figures_markdown(lines: Sequence[Line], *, title: str) -> str:
    rows = [COLUMNS, ("---", "---", "---", "---", "---:", "---:", "---:", "---", "---"), *lines]
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([f"### {title}", "", *(f"| {row} |" for row in escaped), ""])
