"""Building the tables of a source: checked, without duplicates, with unreadable rows set aside and all rows counted."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from anirec.data import schema
from anirec.data.prepare.checks import measure
from anirec.data.prepare.posts import write_posts
from anirec.data.prepare.small_tables import READABLE, add_marks, count_table_rows, deduplicate_tables, read_tables
from anirec.data.scale import Scale
from anirec.data.sources.base import Source
from anirec.errors import UserError

BLOCK = 4_000_000  # rows in memory at once, about 1 GB with a text status and a timestamp


Step = Callable[[str], None]  # called with a description of the current step


def write_deduplicated(rows: pl.LazyFrame, path: Path, *, block: int = BLOCK, step: Step = lambda _: None) -> int:
    """Write `rows` to a parquet file: sorted by user, in file order within a user, each (user_id, item_id) once.

    Returns the number of removed ratings that differ from the one that is kept.

    Of several rows of a pair, the last rated one is kept, or the last one if none is rated. The last is the latest by
    time, with unknown times first, then by file order.

    Args:
        rows: Columns of `schema.INTERACTIONS`, in file order; read once per block.
        path: The file to write.
        block: Approximate number of rows to hold in memory.
        step: Called with the number of rows so far.
    """
    n_read = n_disagreeing = 0

    def read(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        for first, last in user_ranges(rows, block):
            users = rows.filter(pl.col("user_id").is_between(pl.lit(first), pl.lit(last))).collect(engine="streaming")
            nonlocal n_read, n_disagreeing
            n_read += len(users)
            step(f"removing duplicates: {n_read:,} rows")
            kept, n_differing = keep_last_rated(users)
            n_disagreeing += n_differing
            yield kept if columns is None else kept.select(columns)

    register_io_source(read, schema=rows.collect_schema()).sink_parquet(path, row_group_size=500_000)
    return n_disagreeing


def user_ranges(rows: pl.LazyFrame, block: int) -> Iterator[tuple[int | str, int | str]]:
    """Yield the first and the last user of consecutive ranges with about `block` rows each."""
    users = rows.group_by("user_id").len().collect(engine="streaming").sort("user_id")
    before = pl.col("len").cast(pl.Int64).cum_sum() - pl.col("len").cast(pl.Int64)
    ranges = users.group_by(before // block, maintain_order=True).agg(
        first=pl.col("user_id").first(), last=pl.col("user_id").last()
    )
    yield from ranges.select("first", "last").iter_rows()


def keep_last_rated(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the rows of some users, sorted by user, each pair once, with the preference of `write_deduplicated`.

    Second, the number of dropped ratings that differ from that of the row that is kept.

    >>> rows = pl.DataFrame({"user_id": [2, 2, 1], "item_id": [7, 7, 7], "rating": [9.0, 8.0, None]})
    >>> kept, n_disagreeing = keep_last_rated(rows)
    >>> kept.rows(), n_disagreeing
    ([(1, 7, None), (2, 7, 8.0)], 1)
    """
    user, item = pl.col("user_id"), pl.col("item_id")
    is_next = (user > user.shift()) | ((user == user.shift()) & (item > item.shift()))
    if rows.select(is_next.all()).item():  # as most dumps are
        return rows, 0
    time = [column for column in ("timestamp",) if column in rows.columns]  # nulls are sorted first
    is_rated = pl.col("rating").is_not_null()
    best_last = rows.with_row_index("order").sort(user, item, is_rated, *time, "order")
    is_last = ((user != user.shift(-1)) | (item != item.shift(-1))).fill_null(value=True)
    kept = best_last.filter(is_last).sort("user_id", "order").drop("order")
    if len(kept) == len(rows):
        return kept, 0
    rating_kept = pl.when(is_last).then("rating").backward_fill()
    return kept, best_last.select((~is_last & (pl.col("rating") != rating_kept)).sum()).item()


PICTURES = "pictures"  # name of the folder of drawn pictures


def build_tables(source: Source, folder: Path, *, step: Step) -> None:
    """Write the tables of a source, the pictures that it draws, rejects.parquet and report.json.

    The report holds: `source`; `files` and their sizes in bytes; `scale`, that of ratings; the counts of `count_rows`,
    `count_table_rows` and `write_posts`; `rejects` and `unreadable_cells` by file and reason; `empty_columns`, those
    without a value in this copy of the dump; `facts`; `measured`, what `anirec.data.prepare.checks` needs to know.

    Raises:
        UserError: A table has no readable row.
        ContractError: A table of the source does not match the schema, or the columns that the source declares.
    """
    try:
        write_tables(source, folder, step=step)
    except schema.ContractError as error:
        raise schema.ContractError(
            f"The source {type(source).__module__}.{type(source).__name__} breaks its contract: {error} "
            "anirec.data.schema lists all columns with their types and ranges."
        ) from None


def write_tables(source: Source, folder: Path, *, step: Step) -> None:
    """Write the files of `build_tables`."""
    files = {path.name: path.stat().st_size for path in source.files()}
    reading = f"reading {', '.join(files)}" if files else "generating"
    step(reading)
    rows, posts = source.interactions(), source.posts()
    # Read the small files first, to report errors in them within seconds.
    tables_read = read_tables(source)
    check_columns(
        source, {"interactions": rows, **{name: table.lazy() for name, table in tables_read.items()}, "posts": posts}
    )
    for name, table in tables_read.items():
        require_rows(source, name, table.lazy())
    raw = raw_posts = None
    if rows is not None:
        raw = sink_raw(count_read(with_rating(rows), step, reading), schema.INTERACTIONS, "interactions", folder)
        require_rows(source, "interactions", raw)
    if posts is not None:
        raw_posts = sink_raw(count_read(posts, step, reading), schema.POSTS, "posts", folder)
        require_rows(source, "posts", raw_posts)
    with_marks = [table for table in (raw, raw_posts) if table is not None] + [
        table.lazy() for table in tables_read.values()
    ]
    marks = pl.concat([table.select(*schema.MARKS) for table in with_marks])
    notes = marks.filter(READABLE).drop_nulls("note").with_columns(pl.col("note").str.split(","))
    marks.filter(~READABLE).drop("note").sink_parquet(folder / "rejects.parquet")
    written: dict[str, pl.LazyFrame] = {}
    counts: dict[str, int] = {}
    if raw is not None:
        step("removing duplicates")
        written["interactions"], n_disagreeing = write_interactions(raw, folder, step, source.scale)
        counts |= count_rows(raw, written["interactions"]) | {"disagreeing_duplicates": n_disagreeing}
    step("joining items")
    for name, kept in deduplicate_tables(tables_read, raw, written.get("interactions"), source.scale).items():
        kept.write_parquet(folder / f"{name}.parquet")
        written[name] = kept.lazy()
        counts |= count_table_rows(name, tables_read.get(name), kept)
    if raw_posts is not None:
        step("numbering tags")
        counts |= write_posts(raw_posts, folder)
        written["posts"] = raw_posts.filter(READABLE).drop(*schema.MARKS)
    source.draw(folder / PICTURES)
    report = {
        "source": source.identity(),
        "files": files,
        "scale": source.scale.record(),
        **counts,
        "rejects": count_by("reason", marks.filter(~READABLE)),
        "unreadable_cells": count_by("note", notes.explode("note")),
        "empty_columns": [column for table in written.values() for column in empty_columns(table)],
        "facts": dict(source.facts()),
    }
    report["measured"] = measure(folder, report, source.scale)
    for path in folder.glob("raw_*.parquet"):
        path.unlink()
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")


def with_rating(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows with a column of ratings, all of them null where a source has none."""
    return rows if "rating" in rows.collect_schema() else rows.with_columns(rating=pl.lit(None, pl.Float32))


def count_read(rows: pl.LazyFrame, step: Step, reading: str) -> pl.LazyFrame:
    """Return the rows with all marks; while they are read, `step` is called with their number so far."""
    n_read = 0

    def count(lines: pl.Series) -> pl.Series:
        nonlocal n_read
        n_read += len(lines)
        step(f"{reading}: {n_read:,} rows")
        return lines

    counted = pl.col("line").map_batches(count, return_dtype=pl.Int64, is_elementwise=True)
    return add_marks(rows).with_columns(counted)


def sink_raw(rows: pl.LazyFrame, columns: Mapping[str, schema.Column], name: str, folder: Path) -> pl.LazyFrame:
    """Write all rows, typed and in file order, to a temporary file, so that the dump itself is read only once."""
    path = folder / f"raw_{name}.parquet"
    schema.check(rows.drop("title", *schema.MARKS, strict=False), columns, name)
    is_marked = pl.col("reason").is_not_null() | pl.col("note").is_not_null()
    rows.with_columns(pl.when(is_marked).then(pl.col("file", "line"))).sink_parquet(path)
    return pl.scan_parquet(path, glob=False)


def require_rows(source: Source, name: str, rows: pl.LazyFrame) -> None:
    """Raise a UserError with examples if no row of a table can be read."""
    if len(rows.filter(READABLE).head(1).collect(engine="streaming")):
        return
    files = ", ".join(path.name for path in source.files()) or "generated"
    examples = rows.head(3).collect().select("file", "line", "reason", "text").iter_rows()
    lines = [f"  {file}, line {line}: {reason}: {text}" for file, line, reason, text in examples]
    problem = "no row can be read; the first ones are" if lines else "there is no row"
    is_scaled = bool(lines) and all(" is above " in line or " is below " in line for line in lines)
    advice = "Their scale is another; dataset=table reads any." if is_scaled else source.repair
    raise UserError("\n".join([f"{source.name}, {name} ({files}): {problem}", *lines, advice]))


def count_by(column: str, rows: pl.LazyFrame) -> dict[str, int]:
    """Count the rows of each file by the text in a column, most frequent first; rows with null are not counted."""
    counts = rows.drop_nulls(column).group_by("file", column).len().collect(engine="streaming")
    counts = counts.sort("len", "file", column, descending=[True, False, False])
    return {f"{file}: {text}": count for file, text, count in counts.iter_rows()}


def write_interactions(raw: pl.LazyFrame, folder: Path, step: Step, scale: Scale) -> tuple[pl.LazyFrame, int]:
    """Write interactions.parquet from the readable rows, check its values, and return it.

    Second, the number of removed ratings that differ from the one that is kept.
    """
    columns = [column for column in schema.INTERACTIONS if column in raw.collect_schema()]
    path = folder / "interactions.parquet"
    n_disagreeing = write_deduplicated(raw.filter(READABLE).select(columns), path, step=step)
    interactions = pl.scan_parquet(path, glob=False)
    schema.check_values(interactions, schema.INTERACTIONS, "interactions", scale)
    return interactions, n_disagreeing


def check_columns(source: Source, tables: Mapping[str, pl.LazyFrame | None]) -> None:
    """Check that the source declares exactly the columns of its tables; columns of missing tables are not required.

    Where the items lack titles, the ids are shown instead, so that a title may be declared or not.

    Raises:
        ContractError: Declared and returned columns differ, or none are declared.
    """
    if not hasattr(source, "columns"):
        raise schema.ContractError('it declares no columns; set columns = frozenset({"user_id", …}) in the class.')
    returned = {
        name: {*table.collect_schema()} - {*schema.MARKS} for name, table in tables.items() if table is not None
    }
    if not returned:
        raise schema.ContractError("none of its methods interactions, items and posts returns a table.")
    of_missing = {column for name in schema.TABLES.keys() - returned.keys() for column in schema.TABLES[name]}
    optional = {"title"} if "interactions" in returned else set()
    found = set().union(*returned.values())
    lacking, more = sorted(source.columns - found - of_missing - optional), sorted(found - source.columns - optional)
    problems = [f"{', '.join(lacking)}: in columns, but in no table"] if lacking else []
    problems += [f"{', '.join(more)}: in a table, but not in columns"] if more else []
    if problems:
        raise schema.ContractError(f"its columns and its tables differ: {'; '.join(problems)}.")


def count_rows(raw: pl.LazyFrame, interactions: pl.LazyFrame) -> dict[str, int]:
    """Count the interactions: read = rejected + duplicates + kept; unrated rows are kept."""
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
    """Return the columns without a single value."""
    has_value = {
        name: (pl.col(name).list.len() > 0).any() if dtype == pl.List else pl.col(name).is_not_null().any()
        for name, dtype in table.collect_schema().items()
    }
    found: dict[str, Any] = table.select(**has_value).collect(engine="streaming").row(0, named=True)
    return [name for name, any_value in found.items() if not any_value]
