"""Deduplication of the tables that fit in memory: items, characters and appearances.

Of several rows of a title or a character, the first counts; of an appearance, the one with the most important role.
"""

from html import unescape

import polars as pl

from anirec.data import schema
from anirec.data.scale import Scale
from anirec.data.sources.base import Source

READABLE = pl.col("reason").is_null()
KEYS = {"items": ["item_id"], "characters": ["character_id"], "appearances": ["item_id", "character_id"]}


def read_tables(source: Source) -> dict[str, pl.DataFrame]:
    """Return the small tables of the source, with all marks, duplicates and unreadable rows.

    Raises:
        ContractError: A table does not match the schema.
    """
    yielded = {"items": source.items(), "characters": source.characters(), "appearances": source.appearances()}
    tables = {name: add_marks(rows).collect() for name, rows in yielded.items() if rows is not None}
    for name, table in tables.items():
        schema.check(table.drop(*schema.MARKS), schema.TABLES[name], name)
    return tables


def add_marks(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return `rows` with all columns of `schema.MARKS`; those that they lack are null."""
    absent = set(schema.MARKS) - set(rows.collect_schema())
    return rows.with_columns(**{mark: pl.lit(None, schema.MARKS[mark]) for mark in sorted(absent)})


def deduplicate_tables(
    tables: dict[str, pl.DataFrame],
    raw: pl.LazyFrame | None,
    interactions: pl.LazyFrame | None,
    scale: Scale = schema.MAL,
) -> dict[str, pl.DataFrame]:
    """Return the readable rows of each table, each key once, in file order, with columns in the order of the schema.

    Args:
        tables: The tables that `read_tables` returns.
        raw: The interactions as read, which may have titles; None if the source has no interactions.
        interactions: The interactions that are kept. Items that only they have are appended to the items, by id.
        scale: The rating scale of the source.

    Raises:
        ContractError: A table does not match the schema.
    """
    found = {name: keep_first(table.filter(READABLE).drop(*schema.MARKS), KEYS[name]) for name, table in tables.items()}
    if raw is not None and interactions is not None:
        listed = found.pop("items", pl.DataFrame(schema={"item_id": interactions.collect_schema()["item_id"]}))
        if "title" not in listed.columns:
            listed = listed.with_columns(title=pl.lit(None, pl.String))
        found["items"] = add_unlisted(listed, raw, interactions)
    if "title" in found.get("items", pl.DataFrame()).columns:
        title = pl.col("title").fill_null(pl.col("item_id").cast(pl.String))
        found["items"] = found["items"].with_columns(title)
    for name, table in found.items():
        found[name] = schema.ordered(table, schema.TABLES[name])
        schema.check(found[name], schema.TABLES[name], name)
        schema.check_values(found[name].lazy(), schema.TABLES[name], name, scale)
    return found


def keep_first(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the first row of each key, with the most important role of its rows.

    >>> rows = pl.DataFrame({"item_id": [1, 1, 2], "character_id": [7, 7, 7], "role": [None, "Main", "Supporting"]})
    >>> keep_first(rows, ["item_id", "character_id"]).rows()
    [(1, 7, 'Main'), (2, 7, 'Supporting')]
    """
    if "role" in rows.columns:
        rank = pl.col("role").replace_strict(
            {role: rank for rank, role in enumerate(schema.ROLES)}, default=len(schema.ROLES)
        )
        rows = rows.with_columns(role=pl.col("role").sort_by(rank).first().over(key))
    return rows.unique(key, keep="first", maintain_order=True)


def add_unlisted(items: pl.DataFrame, raw: pl.LazyFrame, interactions: pl.LazyFrame) -> pl.DataFrame:
    """Return the items, followed by those that occur only in the interactions, sorted by id."""
    seen = interactions.select(pl.col("item_id").unique()).collect(engine="streaming").sort("item_id")
    if seen.schema["item_id"] != items.schema["item_id"]:
        raise schema.ContractError(
            f"item_id is {seen.schema['item_id']} in the table interactions and {items.schema['item_id']} in items."
        )
    unlisted = seen.join(items, on="item_id", how="anti", maintain_order="left")
    if "title" in raw.collect_schema():
        unlisted = unlisted.join(unlisted_titles(unlisted, raw), on="item_id", how="left", maintain_order="left")
    return pl.concat([items, unlisted], how="diagonal")


def unlisted_titles(unlisted: pl.DataFrame, raw: pl.LazyFrame) -> pl.DataFrame:
    """Return item_id and title of unlisted items, with the titles from the interactions."""
    rows = raw.filter(READABLE, pl.col("title").is_not_null(), pl.col("item_id").is_in(unlisted["item_id"].implode()))
    # Any of several spellings will do, but it must be the same one every time.
    titles = rows.group_by("item_id").agg(pl.col("title").min()).collect(engine="streaming")
    return titles.with_columns(pl.Series("title", [unescape(title) for title in titles["title"]], pl.String))


def count_table_rows(name: str, read: pl.DataFrame | None, table: pl.DataFrame) -> dict[str, int]:
    """Count the rows of a table: read = rejected + duplicates + kept; unlisted items occur only in the interactions."""
    if read is None:  # a source without items
        return {"items_read": 0, "items_rejected": 0, "items_kept": 0, "unlisted_items": len(table)}
    n_readable = len(readable := read.filter(READABLE))
    n_kept = readable.select(KEYS[name]).n_unique()
    counts = {
        f"{name}_read": len(read),
        f"{name}_rejected": len(read) - n_readable,
        f"duplicate_{name}_removed": n_readable - n_kept,
        f"{name}_kept": n_kept,
    }
    return counts | ({"unlisted_items": len(table) - n_kept} if name == "items" else {})
