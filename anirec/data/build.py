"""Building the tables of a source: streamed, checked, without duplicates, the unreadable rows aside, all counted."""

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl

from anirec.data import tables
from anirec.data.duplicates import write_once
from anirec.data.sources.source import Source
from anirec.errors import UserError

Step = Callable[[str], None]  # told what is being done
READABLE = pl.col("reason").is_null()


def build(source: Source, folder: Path, *, step: Step) -> None:
    """Write interactions.parquet, items.parquet, rejects.parquet and report.json into `folder`.

    The report: `source`; `files` with their bytes; the counts of `count_rows` and `count_items`; `rejects` and
    `unreadable_cells` by file and reason; `empty_columns`, without a value in this copy of the dump; `facts`.

    Raises:
        UserError: No row can be read.
        TypeError, ValueError: The source breaks the declaration of its tables.
    """
    files = {path.name: path.stat().st_size for path in source.files()}
    step(f"reading {', '.join(files) or 'interactions'}")
    rows = source.interactions()
    # The small files first: what is wrong with them is known in seconds.
    listed = marked(source.items()).collect()
    demand_rows(source, "items", listed.lazy())
    raw = sink_raw(rows, folder / "raw.parquet")
    demand_rows(source, "interactions", raw)
    marks = pl.concat([table.select(*tables.MARKS) for table in (raw, listed.lazy())])
    notes = marks.filter(READABLE).drop_nulls("note").with_columns(pl.col("note").str.split(","))
    marks.filter(~READABLE).drop("note").sink_parquet(folder / "rejects.parquet")
    step("removing duplicates")
    interactions = write_interactions(raw, folder)
    step("joining items")
    items = write_items(listed, raw, interactions, folder)
    check_columns(source, interactions, items)
    report = {
        "source": {"name": source.name, "version": source.version, "options": dict(source.options())},
        "files": files,
        **count_rows(raw, interactions),
        **count_items(listed, items),
        "rejects": count_by("reason", marks.filter(~READABLE)),
        "unreadable_cells": count_by("note", notes.explode("note")),
        "empty_columns": empty_columns(interactions) + empty_columns(items.lazy()),
        "facts": dict(source.facts()),
    }
    (folder / "raw.parquet").unlink()
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")


def marked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """`rows` with the marks that they lack."""
    absent = set(tables.MARKS) - set(rows.collect_schema())
    return rows.with_columns(**{mark: pl.lit(None, tables.MARKS[mark]) for mark in sorted(absent)})


def sink_raw(rows: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """All rows, typed, in file order, on disk: the dump itself is read once."""
    rows = marked(rows)
    tables.check(rows.drop("title", *tables.MARKS, strict=False), tables.INTERACTIONS, "interactions")
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


def write_items(listed: pl.DataFrame, raw: pl.LazyFrame, interactions: pl.LazyFrame, folder: Path) -> pl.DataFrame:
    """The readable items, each once, in file order; then those that only the interactions know, by id."""
    items = listed.filter(READABLE).drop(*tables.MARKS).unique("item_id", keep="first", maintain_order=True)
    tables.check(items, tables.ITEMS, "items")
    seen = interactions.select(pl.col("item_id").unique()).collect(engine="streaming").sort("item_id")
    if seen.schema["item_id"] != items.schema["item_id"]:
        raise TypeError(f"item_id is {seen.schema['item_id']} in interactions and {items.schema['item_id']} in items")
    unlisted = seen.join(items, on="item_id", how="anti", maintain_order="left")
    if "title" in raw.collect_schema():
        unlisted = unlisted.join(titles_of(unlisted, raw), on="item_id", how="left", maintain_order="left")
    items = pl.concat([items, unlisted], how="diagonal")
    title = pl.col("title").fill_null(pl.col("item_id").cast(pl.String))
    items = tables.ordered(items.with_columns(title), tables.ITEMS)
    tables.check(items, tables.ITEMS, "items")
    tables.check_values(items.lazy(), tables.ITEMS, "items")
    items.write_parquet(folder / "items.parquet")
    return items


def titles_of(unlisted: pl.DataFrame, raw: pl.LazyFrame) -> pl.DataFrame:
    """item_id and title, as the interactions spell it."""
    named = raw.filter(READABLE, pl.col("title").is_not_null(), pl.col("item_id").is_in(unlisted["item_id"].implode()))
    # Any spelling will do, but always the same one.
    titles = named.group_by("item_id").agg(pl.col("title").min()).collect(engine="streaming")
    return titles.with_columns(pl.Series("title", [unescape(title) for title in titles["title"]], pl.String))


def check_columns(source: Source, interactions: pl.LazyFrame, items: pl.DataFrame) -> None:
    found = set(interactions.collect_schema()) | set(items.columns)
    if found != source.columns:
        lacking, more = sorted(source.columns - found), sorted(found - source.columns)
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


def count_items(listed: pl.DataFrame, items: pl.DataFrame) -> dict[str, int]:
    """Counts of the titles: read = rejected + duplicates + kept; unlisted ones were added, from the interactions."""
    n_readable = len(readable := listed.filter(READABLE))
    n_kept = readable["item_id"].n_unique()
    return {
        "items_read": len(listed),
        "items_rejected": len(listed) - n_readable,
        "duplicate_items_removed": n_readable - n_kept,
        "items_kept": n_kept,
        "unlisted_items": len(items) - n_kept,
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
