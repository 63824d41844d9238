"""Comparison of the published figures of a study with the results of our runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import polars.selectors as cs
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from anirec.errors import UserError
from anirec.metrics.names import metric_phrase
from anirec.report import formatting as cells

MEAN, STD = ":mean", ":std"
NOT_RUN = "not run"


class Comparison(NamedTuple):
    """One published figure and one group of our runs, as text.

    Attributes:
        model: Name of the model.
        settings: Settings that distinguish the group from others of its model.
        data: Dataset and split of our runs; empty if there are none.
        source: Where the figure was published.
        metric: Name as logged.
        published: The published figure; "-" if the publication does not give it.
        ours: Mean of our runs, with ± their standard deviation, or "not run".
        difference: Ours minus published; empty where the two cannot be compared.
        note: Remark on the published figure.
    """

    model: str
    settings: str
    data: str
    source: str
    metric: str
    published: str
    ours: str
    difference: str
    note: str


def read_published_figures(path: Path) -> pl.DataFrame:
    """Read `published.csv`: columns model, source, one per metric (test/…) and, optionally, note and comparable.

    `comparable` is no where the figure measures something else, whatever the data.

    Raises:
        UserError: The file or a required column is missing.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is missing. Expected the published figures in columns such as model, source, test/rmse, note."
        )
    figures = pl.read_csv(path, infer_schema_length=None, glob=False)
    if missing := {"model", "source"}.difference(figures.columns):
        raise UserError(f"{path}: missing columns: {', '.join(sorted(missing))}.")
    return figures


def read_our_figures(path: Path) -> pl.DataFrame:
    """Read a CSV file of `anirec.report.compare`; columns without values are read as numbers, too."""
    rows = pl.read_csv(path, infer_schema_length=None, glob=False)
    return rows.with_columns(cs.matches(":(mean|std|low|high)$").cast(pl.Float64), pl.col("settings").cast(pl.String))


def compare_figures(published: pl.DataFrame, ours: pl.DataFrame, own: Collection[str]) -> list[Comparison]:
    """Return one comparison for each published figure and each of our settings of that model.

    Args:
        published: Published figures; see `read_published_figures`.
        ours: Our results; see `read_our_figures`.
        own: Datasets that are the study's own, in full; results on others are given without a difference.
    """
    metrics = [name for name in published.columns if name.startswith("test/")]
    found = []
    for row in published.iter_rows(named=True):
        given = [name for name in metrics if row[name] is not None] or metrics
        for one in ours.filter(pl.col("model") == row["model"]).to_dicts() or [{}]:
            found += [comparison_of(row, metric, one, own) for metric in given]
    return [one for one in found if one.published != cells.MISSING or one.ours != NOT_RUN]


def comparison_of(row: dict[str, Any], metric: str, ours: dict[str, Any], own: Collection[str]) -> Comparison:
    """Return the comparison of one published figure with one group of our runs; `ours` is empty if there is none."""
    published, mean = row[metric], ours.get(metric + MEAN)
    places = cells.decimals([value for value in (published, mean) if value is not None])
    is_comparable = None not in (published, mean) and ours["dataset"] in own and row.get("comparable") != "no"
    return Comparison(
        row["model"],
        ours.get("settings") or "",
        f"{ours['dataset']}, {ours['split']} split" if ours else "",
        row["source"],
        metric,
        cells.MISSING if published is None else f"{published:g}",
        NOT_RUN if mean is None else cells.spread(mean, ours[metric + STD], places),
        f"{mean - published:+.{places}f}" if is_comparable else "",
        row.get("note") or "",
    )


@dataclass(frozen=True)
class FiguresTable:
    """Comparisons as a table.

    Attributes:
        title: What is compared, and whether differences are given.
        headings: metric, published, ours and, if there is any, difference.
        groups: Name of each model with settings, source and data, and its rows.
        remarks: Numbered remarks, which the names refer to.
    """

    title: str
    headings: list[str]
    groups: list[tuple[str, list[list[str]]]]
    remarks: list[str]


def figures_table(found: Sequence[Comparison]) -> FiguresTable:
    """Group comparisons by model, settings, source and data."""
    notes = list(dict.fromkeys(one.note for one in found if one.note))
    sources, data = {one.source for one in found}, {one.data for one in found if one.data}
    has_differences = any(one.difference for one in found)
    groups: dict[str, list[list[str]]] = {}
    for one in found:
        about = [one.source if len(sources) > 1 else "", one.data if len(data) > 1 else ""]
        about.append(f"note {notes.index(one.note) + 1}" if one.note else "")
        remark = "; ".join(filter(None, about))
        name = f"{one.model} {one.settings}".strip() + (f" ({remark})" if remark else "")
        row = [metric_phrase(one.metric).removeprefix("test "), one.published, one.ours, one.difference]
        groups.setdefault(name, []).append(row if has_differences else row[:-1])
    on = f" on {data.pop()}" if len(data) == 1 else ""
    why = "" if has_differences else "; not comparable, so no differences are given"
    return FiguresTable(
        f"Published figures and ours{on}{why}",
        ["metric", "published", "ours", "difference"][: 4 if has_differences else 3],
        list(groups.items()),
        [f"Note {number}: {note}." for number, note in enumerate(notes, start=1)],
    )


def print_figures(console: Console, found: Sequence[Comparison]) -> None:
    """Print comparisons, each model above its figures."""
    table = figures_table(found)
    rows = [table.headings, *(row for _, of_group in table.groups for row in of_group)]
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(table.headings))]

    def line(row: list[str]) -> str:
        figures = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join([f"  {row[0]:{widths[0]}}", *figures])

    console.print(Text(f"\n{table.title}\n", style="bold"))
    console.print(Text(f"{line(table.headings)}\n{'─' * len(line(table.headings))}"))
    for name, of_group in table.groups:
        console.print(Text("\n".join([name, *map(line, of_group)])))
    console.print(Text("\n".join(["", *table.remarks]), style="dim"))


def figures_markdown(found: Sequence[Comparison]) -> str:
    """Return comparisons as a table in Markdown, with its remarks below."""
    table = figures_table(found)
    empty = [""] * (len(table.headings) - 1)
    rows = [row for name, of_group in table.groups for row in ([f"**{escape_markdown(name)}**", *empty], *of_group)]
    lines = [f"| {' | '.join(row)} |" for row in (table.headings, ["---", *["---:"] * len(empty)], *rows)]
    remarks = [line for remark in table.remarks for line in ("", remark)]
    return "\n".join([f"{table.title}.", "", *lines, *remarks, ""])


def escape_markdown(text: str) -> str:
    """Escape characters that Markdown would interpret in a table.

    >>> print(escape_markdown("svd n_factors=80 a|b"))
    svd n\\_factors=80 a\\|b
    """
    return "".join(f"\\{character}" if character in "|_*<" else character for character in text)
