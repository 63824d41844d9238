"""The small tables of a source, each row once: titles, characters, and who appears where. They fit in memory.

Where a dump lists a title or a character twice, the first counts; of an appearance, the weightiest role.
"""

from html import unescape

import polars as pl

from anirec.data import schema as tables
from anirec.data.sources.base import Source

READABLE = pl.col("reason").is_null()
KEYS = {"items": ["item_id"], "characters": ["character_id"], "appearances": ["item_id", "character_id"]}


def read_listed(source: Source) -> dict[str, pl.DataFrame]:
    """The small tables that the source has, with all marks, duplicates and unreadable rows.

    Raises:
        TypeError: They break their declaration.
    """
    yielded = {"items": source.items(), "characters": source.characters(), "appearances": source.appearances()}
    listed = {name: marked(rows).collect() for name, rows in yielded.items() if rows is not None}
    for name, table in listed.items():
        tables.check(table.drop(*tables.MARKS), tables.TABLES[name], name)
    return listed


def marked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """`rows` with the marks that they lack."""
    absent = set(tables.MARKS) - set(rows.collect_schema())
    return rows.with_columns(**{mark: pl.lit(None, tables.MARKS[mark]) for mark in sorted(absent)})


def once_each(
    listed: dict[str, pl.DataFrame], raw: pl.LazyFrame | None, interactions: pl.LazyFrame | None
) -> dict[str, pl.DataFrame]:
    """The readable rows of each table, each key once, in file order, columns in declared order.

    Args:
        listed: What `read_listed` returns.
        raw: The interactions as read, with the titles that they bring; None: the source has none.
        interactions: Those that are kept; their titles are added to the items, behind those listed, by id.

    Raises:
        TypeError, ValueError: A table breaks its declaration.
    """
    found = {name: once(table.filter(READABLE).drop(*tables.MARKS), KEYS[name]) for name, table in listed.items()}
    if raw is not None and interactions is not None:
        if "items" not in found:
            raise TypeError("The source yields interactions, but no items.")
        found["items"] = with_unlisted(found["items"], raw, interactions)
    if "title" in found.get("items", pl.DataFrame()).columns:
        title = pl.col("title").fill_null(pl.col("item_id").cast(pl.String))
        found["items"] = found["items"].with_columns(title)
    for name, table in found.items():
        found[name] = tables.ordered(table, tables.TABLES[name])
        tables.check(found[name], tables.TABLES[name], name)
        tables.check_values(found[name].lazy(), tables.TABLES[name], name)
    return found


def once(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The first row of each key, or that of the weightiest role.

    >>> rows = pl.DataFrame({"item_id": [1, 1, 2], "character_id": [7, 7, 7], "role": [None, "Main", "Supporting"]})
    >>> once(rows, ["item_id", "character_id"]).rows()
    [(1, 7, 'Main'), (2, 7, 'Supporting')]
    """
    if "role" in rows.columns:
        weight = pl.col("role").replace_strict(
            {role: place for place, role in enumerate(tables.ROLES)}, default=len(tables.ROLES)
        )
        best = pl.col("role").sort_by(weight).first().over(key)
        rows = rows.with_columns(role=best)
    return rows.unique(key, keep="first", maintain_order=True)


def with_unlisted(items: pl.DataFrame, raw: pl.LazyFrame, interactions: pl.LazyFrame) -> pl.DataFrame:
    """The items, and behind them those that only the interactions know, by id."""
    seen = interactions.select(pl.col("item_id").unique()).collect(engine="streaming").sort("item_id")
    if seen.schema["item_id"] != items.schema["item_id"]:
        raise TypeError(f"item_id is {seen.schema['item_id']} in interactions and {items.schema['item_id']} in items")
    unlisted = seen.join(items, on="item_id", how="anti", maintain_order="left")
    if "title" in raw.collect_schema():
        unlisted = unlisted.join(titles_of(unlisted, raw), on="item_id", how="left", maintain_order="left")
    return pl.concat([items, unlisted], how="diagonal")


def titles_of(unlisted: pl.DataFrame, raw: pl.LazyFrame) -> pl.DataFrame:
    """item_id and title, as the interactions spell it."""
    named = raw.filter(READABLE, pl.col("title").is_not_null(), pl.col("item_id").is_in(unlisted["item_id"].implode()))
    # Any spelling will do, but always the same one.
    titles = named.group_by("item_id").agg(pl.col("title").min()).collect(engine="streaming")
    return titles.with_columns(pl.Series("title", [unescape(title) for title in titles["title"]], pl.String))


def counted(name: str, listed: pl.DataFrame, table: pl.DataFrame) -> dict[str, int]:
    """Counts of a table's rows: read = rejected + duplicates + kept; unlisted titles came from the interactions."""
    n_readable = len(readable := listed.filter(READABLE))
    n_kept = readable.select(KEYS[name]).n_unique()
    counts = {
        f"{name}_read": len(listed),
        f"{name}_rejected": len(listed) - n_readable,
        f"duplicate_{name}_removed": n_readable - n_kept,
        f"{name}_kept": n_kept,
    }
    return counts | ({"unlisted_items": len(table) - n_kept} if name == "items" else {})
