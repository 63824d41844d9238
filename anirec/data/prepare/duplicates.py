"""One row a user and item, out of a table larger than memory."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

BLOCK = 4_000_000  # rows in memory at once, about 1 GB with a text status and a timestamp


def write_once(rows: pl.LazyFrame, path: Path, *, block: int = BLOCK) -> None:
    """Write `rows` to a parquet file: sorted by user, in file order within a user, each (user_id, item_id) once.

    The last rated row of a pair counts; if none is rated, the last: by time (unknown before known), then by file order.

    Args:
        rows: Columns of `tables.INTERACTIONS`, in file order; read once a block.
        path: The file; parts lie beside it meanwhile.
        block: About how many rows to hold in memory.
    """
    parts: list[Path] = []
    for first, last in user_ranges(rows, block):
        users = rows.filter(pl.col("user_id").is_between(pl.lit(first), pl.lit(last))).collect(engine="streaming")
        parts.append(path.with_suffix(f".{len(parts)}"))
        once(users).write_parquet(parts[-1])
    pl.scan_parquet(parts).sink_parquet(path)
    for part in parts:
        part.unlink()


def user_ranges(rows: pl.LazyFrame, block: int) -> Iterator[tuple[int | str, int | str]]:
    """First and last user of consecutive ranges with about `block` rows each."""
    users = rows.group_by("user_id").len().collect(engine="streaming").sort("user_id")
    before = pl.col("len").cast(pl.Int64).cum_sum() - pl.col("len").cast(pl.Int64)
    ranges = users.group_by(before // block, maintain_order=True).agg(
        first=pl.col("user_id").first(), last=pl.col("user_id").last()
    )
    yield from ranges.select("first", "last").iter_rows()


def once(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of some users, sorted by user, each pair once.

    >>> rows = pl.DataFrame({"user_id": [2, 2, 1], "item_id": [7, 7, 7], "rating": [8.0, None, None]})
    >>> once(rows).rows()
    [(1, 7, None), (2, 7, 8.0)]
    """
    time = [column for column in ("timestamp",) if column in rows.columns]  # an unknown one comes first
    is_rated = pl.col("rating").is_not_null()
    best_last = rows.with_row_index("order").sort("user_id", "item_id", is_rated, *time, "order")
    pair = pl.struct("user_id", "item_id")
    kept = best_last.filter((pair != pair.shift(-1)).fill_null(value=True))
    return kept.sort("user_id", "order").drop("order")
