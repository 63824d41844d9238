"""What a study published beside what came out here."""

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
    """`published.csv`: columns model, source, one for each metric (test/…), and notes.

    Raises:
        UserError: There is no such file, or it lacks model or source.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: the published figures, in columns model, source, test/rmse and others.")
    figures = pl.read_csv(path, infer_schema_length=None)
    if lacking := {"model", "source"}.difference(figures.columns):
        raise UserError(f"{path} lacks the columns {', '.join(sorted(lacking))}.")
    return figures


def read_our_figures(path: Path) -> pl.DataFrame:
    """What `anirec.report.compare` wrote; columns without any value are numbers too."""
    rows = pl.read_csv(path, infer_schema_length=None)
    return rows.with_columns(cs.matches(":(mean|std|low|high)$").cast(pl.Float64), pl.col("settings").cast(pl.String))


def compare_figures(published: pl.DataFrame, ours: pl.DataFrame) -> list[Line]:
    """Lines of COLUMNS, one for each published figure and each of our settings of that model.

    Args:
        published: As `read_published_figures` reads them.
        ours: As `read_our_figures` reads them.
    """
    lines = []
    for row in published.iter_rows(named=True):
        for metric in [name for name in published.columns if name.startswith("test/") and row[name] is not None]:
            there = ours.filter(pl.col("model") == row["model"])
            there = there.drop_nulls(metric + MEAN) if metric + MEAN in ours.columns else there.clear()
            lines += [comparison_row(row, metric, one) for one in there.iter_rows(named=True)] or [
                (row["model"], "", "", metric, f"{row[metric]:g}", "not run", "", row["source"], note_of(row))
            ]
    return lines


def comparison_row(published: dict[str, Any], metric: str, ours: dict[str, Any]) -> Line:
    """One published figure beside one group of runs."""
    about = (published["model"], ours["settings"] or "", f"{ours['dataset']}, {ours['split']} split")
    numbers = format_figures(published[metric], ours[metric + MEAN], ours[metric + STD])
    return *about, metric, *numbers, published["source"], note_of(published)


def note_of(published: dict[str, Any]) -> str:
    """What keeps a figure from being compared, above all."""
    return str(published.get("note") or "")


def format_figures(published: float, mean: float, std: float | None) -> tuple[str, str, str]:
    """Published, ours and the difference.

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
