"""Agreement of the titles that two tables share by id: whether they are the same titles, by names or by genres."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

NAMES = ("title", "title_english", "title_japanese", "synonyms")
BY = ("names", "genres")  # what titles are compared by; the first that both tables know


class Comparison(NamedTuple):
    """How many titles two tables share by id, and how many of them agree by names or, where one has none, genres.

    `example` holds the id of the first title that does not agree, and what it is in both tables.
    """

    n_shared: int
    by: str
    n_compared: int
    n_agreeing: int
    example: tuple[Any, ...]


@lru_cache(maxsize=16)  # a run asks twice; the paths contain a fingerprint of the content
def compare_titles(ours: Path, theirs: Path) -> Comparison | None:
    """Compare the titles with the same ids in two tables; None if the ids are of different types."""
    first, second = read_titles(ours), read_titles(theirs)
    if first.schema["item_id"] != second.schema["item_id"]:
        return None
    shared = first.join(second, on="item_id", suffix="_other", maintain_order="left")
    for by in BY:
        known = shared.filter(pl.col(by).list.len() > 0, pl.col(f"{by}_other").list.len() > 0)
        if len(known):
            break
    differing = known.filter(pl.col(by).list.set_intersection(f"{by}_other").list.len() == 0)
    what = ("title", "title_other") if by == "names" else (pl.col(by, f"{by}_other").list.join(", "),)
    example = next(differing.select("item_id", *what).head(1).iter_rows(), ())
    return Comparison(len(shared), by, len(known), len(known) - len(differing), example)


def read_titles(items: Path) -> pl.DataFrame:
    """Return item_id, title, genres, and all names of each title as letters and digits in lower case."""
    table = pl.scan_parquet(items, glob=False)
    columns = table.collect_schema()
    lists = [pl.col(name) if name == "synonyms" else pl.concat_list(name) for name in NAMES if name in columns]
    plain = pl.element().str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    none = pl.lit([], pl.List(pl.String))
    names = pl.concat_list(lists).list.eval(plain.filter(plain != "")) if lists else none
    title = pl.col("title") if "title" in columns else pl.lit(None, pl.String).alias("title")
    # A title that only list entries have may be named by its id.
    is_named = title.str.to_lowercase() != pl.col("item_id").cast(pl.String).str.to_lowercase()
    genres = pl.col("genres") if "genres" in columns else none.alias("genres")
    return table.select("item_id", title, genres, names=pl.when(is_named.fill_null(value=True)).then(names)).collect()
