"""What a dataset is, and what its reader made of it, in words and numbers."""

from pathlib import Path
from typing import Any

import polars as pl

from anirec.data.prepare import Prepared
from anirec.data.sources.source import Source


def facts(source: Source, prepared: Prepared) -> list[tuple[str, str]]:
    """(what, how much) lines about the prepared tables."""
    lines = [] if prepared.interactions is None else rating_lines(prepared.interactions)
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
    density = numbers["rated"] / (numbers["users"] * numbers["titles"])
    lines.append(("density", f"{density:.3%} of all user-title pairs are rated"))
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
