"""Building the tables of a source: streamed, checked, without duplicates, the unreadable rows aside, all counted."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from anirec.data import schema as tables
from anirec.data.prepare.duplicates import write_once
from anirec.data.prepare.post_tables import write_posts
from anirec.data.prepare.small_tables import READABLE, counted, marked, once_each, read_listed
from anirec.data.sources.base import Source
from anirec.errors import UserError

Step = Callable[[str], None]  # told what is being done
PICTURES = "pictures"  # folder of what a source draws


def build(source: Source, folder: Path, *, step: Step) -> None:
    """Write the tables that the source has, its pictures if it draws any, rejects.parquet and report.json.

    The report: `source`; `files` with their bytes; the counts of `count_rows` and `counted`; `rejects` and
    `unreadable_cells` by file and reason; `empty_columns`, without a value in this copy of the dump; `facts`.

    Raises:
        UserError: No row of a table can be read.
        TypeError, ValueError: The source breaks the declaration of its tables.
    """
    files = {path.name: path.stat().st_size for path in source.files()}
    step(f"reading {', '.join(files)}" if files else "generating")
    rows, posts = source.interactions(), source.posts()
    # The small files first: what is wrong with them is known in seconds.
    listed = read_listed(source)
    for name, table in listed.items():
        demand_rows(source, name, table.lazy())
    raw = raw_posts = None
    if rows is not None:
        raw = sink_raw(rows, tables.INTERACTIONS, "interactions", folder)
        demand_rows(source, "interactions", raw)
    if posts is not None:
        raw_posts = sink_raw(posts, tables.POSTS, "posts", folder)
        demand_rows(source, "posts", raw_posts)
    with_marks = [table for table in (raw, raw_posts) if table is not None] + [
        table.lazy() for table in listed.values()
    ]
    marks = pl.concat([table.select(*tables.MARKS) for table in with_marks])
    notes = marks.filter(READABLE).drop_nulls("note").with_columns(pl.col("note").str.split(","))
    marks.filter(~READABLE).drop("note").sink_parquet(folder / "rejects.parquet")
    written: dict[str, pl.LazyFrame] = {}
    counts: dict[str, int] = {}
    if raw is not None:
        step("removing duplicates")
        written["interactions"] = write_interactions(raw, folder)
        counts |= count_rows(raw, written["interactions"])
    step("joining items")
    for name, kept in once_each(listed, raw, written.get("interactions")).items():
        kept.write_parquet(folder / f"{name}.parquet")
        written[name] = kept.lazy()
        counts |= counted(name, listed[name], kept)
    if raw_posts is not None:
        step("numbering tags")
        counts |= write_posts(raw_posts, folder)
        written["posts"] = raw_posts.filter(READABLE).drop(*tables.MARKS)
    check_columns(source, written)
    source.draw(folder / PICTURES)
    report = {
        "source": {"name": source.name, "version": source.version, "options": dict(source.options())},
        "files": files,
        **counts,
        "rejects": count_by("reason", marks.filter(~READABLE)),
        "unreadable_cells": count_by("note", notes.explode("note")),
        "empty_columns": [column for table in written.values() for column in empty_columns(table)],
        "facts": dict(source.facts()),
    }
    for path in folder.glob("raw_*.parquet"):
        path.unlink()
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")


def sink_raw(rows: pl.LazyFrame, columns: Mapping[str, tables.Column], name: str, folder: Path) -> pl.LazyFrame:
    """All rows, typed, in file order, on disk: the dump itself is read once."""
    rows, path = marked(rows), folder / f"raw_{name}.parquet"
    tables.check(rows.drop("title", *tables.MARKS, strict=False), columns, name)
    worth_a_place = pl.col("reason").is_not_null() | pl.col("note").is_not_null()
    rows.with_columns(pl.when(worth_a_place).then(pl.col("file", "line"))).sink_parquet(path)
    return pl.scan_parquet(path)


def demand_rows(source: Source, name: str, rows: pl.LazyFrame) -> None:
    """Raise a UserError if no row of a table can be read: rather than an empty result, say what stood there."""
    if len(rows.filter(READABLE).head(1).collect(engine="streaming")):
        return
    files = ", ".join(path.name for path in source.files()) or "generated"
    examples = rows.head(3).collect().select("file", "line", "reason", "text").iter_rows()
    lines = [f"  {file}, line {line}: {reason}: {text}" for file, line, reason, text in examples]
    problem = "no row can be read, such as" if lines else "there is no row"
    raise UserError(
        "\n".join([f"{source.name}, {name} ({files}): {problem}", *lines, "Download the dump's files again."])
    )


def count_by(column: str, rows: pl.LazyFrame) -> dict[str, int]:
    """How many rows of each file have each text in a column (null: none), most frequent first."""
    counts = rows.drop_nulls(column).group_by("file", column).len().collect(engine="streaming")
    counts = counts.sort("len", "file", column, descending=[True, False, False])
    return {f"{file}: {text}": count for file, text, count in counts.iter_rows()}


def write_interactions(raw: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    columns = [column for column in tables.INTERACTIONS if column in raw.collect_schema()]
    path = folder / "interactions.parquet"
    write_once(raw.filter(READABLE).select(columns), path)
    interactions = pl.scan_parquet(path)
    tables.check_values(interactions, tables.INTERACTIONS, "interactions")
    return interactions


def check_columns(source: Source, written: Mapping[str, pl.LazyFrame]) -> None:
    """Hold the columns of all tables against what the source declares; absent tables owe nothing.

    Raises:
        TypeError: They differ.
    """
    found = {column for table in written.values() for column in table.collect_schema()}
    excused = {column for name in tables.TABLES.keys() - written.keys() for column in tables.TABLES[name]}
    lacking, more = sorted(source.columns - found - excused), sorted(found - source.columns)
    if lacking or more:
        raise TypeError(f"{type(source).__name__}.columns declares {lacking}, not yielded; yielded undeclared: {more}")


def count_rows(raw: pl.LazyFrame, interactions: pl.LazyFrame) -> dict[str, int]:
    """Counts of the interactions: read = rejected + duplicates + kept; unrated ones are kept."""
    n_read, n_rejected = raw.select(n=pl.len(), rejected=pl.col("reason").count()).collect(engine="streaming").row(0)
    n_kept, n_unrated = interactions.select(n=pl.len(), unrated=pl.col("rating").null_count()).collect().row(0)
    return {
        "rows_read": n_read,
        "rows_rejected": n_rejected,
        "duplicates_removed": n_read - n_rejected - n_kept,
        "rows_kept": n_kept,
        "unrated_rows": n_unrated,
    }


def empty_columns(table: pl.LazyFrame) -> list[str]:
    """Columns without a single value."""
    schema = table.collect_schema()
    has_value = {
        name: (pl.col(name).list.len() > 0).any() if dtype == pl.List else pl.col(name).is_not_null().any()
        for name, dtype in schema.items()
    }
    found: dict[str, Any] = table.select(**has_value).collect(engine="streaming").row(0, named=True)
    return [name for name, any_value in found.items() if not any_value]
