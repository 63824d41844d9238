"""Deduplication of interactions: one row per user and item, for every order of rows and size of blocks."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anirec.data.prepare.build import keep_last_rated, write_deduplicated

SCHEMA = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float32}


def rows(*values: tuple) -> pl.DataFrame:
    return pl.DataFrame(list(values), schema=SCHEMA, orient="row")


def test_the_last_rated_row_counts() -> None:
    found, _ = keep_last_rated(rows((1, 7, 5.0), (1, 7, 8.0), (1, 7, None), (1, 9, None), (1, 9, None)))
    assert found.rows() == [(1, 7, 8.0), (1, 9, None)]


def test_the_newest_row_counts_where_times_are_known() -> None:
    times = {"timestamp": pl.Series([9, 8, None], dtype=pl.Datetime("us"))}
    table = rows((1, 7, 5.0), (1, 7, 8.0), (1, 7, 6.0)).with_columns(**times)
    assert keep_last_rated(table)[0]["rating"].to_list() == [5.0]
    assert keep_last_rated(table.reverse())[0]["rating"].to_list() == [5.0]
    unrated_last = rows((1, 7, 5.0), (1, 7, None), (1, 7, 6.0)).with_columns(**times)
    assert keep_last_rated(unrated_last)[0]["rating"].to_list() == [5.0]


def test_file_order_is_kept_within_a_user() -> None:
    found, _ = keep_last_rated(rows((2, 9, 5.0), (1, 3, 4.0), (2, 1, 6.0), (1, 2, 3.0)))
    assert found.rows() == [(1, 3, 4.0), (1, 2, 3.0), (2, 9, 5.0), (2, 1, 6.0)]


def expected(values: list[tuple]) -> list[tuple]:
    """A naive implementation of the rule."""
    best: dict[tuple, tuple] = {}
    for order, (user, item, rating) in enumerate(values):
        before = best.get((user, item))
        if before is None or rating is not None or before[2] is None:
            best[user, item] = (user, item, rating, order)
    return [row[:3] for row in sorted(best.values(), key=lambda row: (row[0], row[3]))]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 4), st.sampled_from([None, 3.0, 8.0])), min_size=1, max_size=60
    ),
    st.integers(1, 20),
)
def test_any_block_size_gives_the_same(tmp_path_factory: pytest.TempPathFactory, values: list, block: int) -> None:
    folder = tmp_path_factory.mktemp("once")
    write_deduplicated(rows(*values).lazy(), folder / "once.parquet", block=block)
    assert pl.read_parquet(folder / "once.parquet").rows() == expected(values)
    assert [path.name for path in folder.iterdir()] == ["once.parquet"]


def test_users_may_be_names(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"user_id": ["b", "é", "a", "b"], "item_id": ["x", "x", "x", "x"], "rating": [1.0, 2.0, None, 4.0]}
    )
    write_deduplicated(table.lazy(), tmp_path / "once.parquet", block=1)
    assert pl.read_parquet(tmp_path / "once.parquet").rows() == [("a", "x", None), ("b", "x", 4.0), ("é", "x", 2.0)]
