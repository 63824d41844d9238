from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from anirec.tracking.parquet import write_parquet

COLUMNS = {
    "user_id": [1, 1, 2, None],
    "title": ["Monster", None, "Mushishi", "Monster"],
    "genres": [["Drama"], [], None, ["Drama", "Sports"]],
    "score": pl.Series([8.5, 7.25, None, float("nan")], dtype=pl.Float32),
    "relevant": [True, False, True, None],
    "n": pl.Series([1, 2, 3, 4], dtype=pl.Int8),
}


@pytest.mark.parametrize("user_id", [[1, 1, 2, None], ["ann", "ann", "bob", None]])
def test_a_file_of_parts_is_read_as_one_table_with_equal_types(user_id: list[object], tmp_path: Path) -> None:
    table = pl.DataFrame(COLUMNS | {"user_id": user_id})
    write_parquet(tmp_path / "rows.parquet", (table[start : start + 3] for start in (0, 3)))
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(table)
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 2
    assert pl.from_arrow(pq.read_table(tmp_path / "rows.parquet")).equals(table)  # type: ignore[union-attr]


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    table = pl.DataFrame(COLUMNS)[:0]
    write_parquet(tmp_path / "rows.parquet", [table])
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(table)


def test_an_interrupted_table_leaves_the_former_one_and_nothing_else(tmp_path: Path) -> None:
    path, table = tmp_path / "rows.parquet", pl.DataFrame(COLUMNS)
    write_parquet(path, [table])

    def interrupted() -> Iterator[pl.DataFrame]:
        yield table[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(path, interrupted())
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]
    assert pl.read_parquet(path).equals(table)


def test_predictions_take_few_bytes_a_row(tmp_path: Path) -> None:
    random, n = np.random.default_rng(0), 200_000
    columns = {
        "user_id": np.sort(random.integers(25_000, size=n)) * 7,
        "item_id": random.integers(16_000, size=n) * 3,
        "target": random.integers(1, 11, size=n).astype(np.float32),
        "prediction": np.round(random.normal(7, 1, size=n) * 1024).astype(np.float32) / 1024,
    }
    write_parquet(tmp_path / "rows.parquet", [pl.DataFrame(columns).with_columns(split=pl.lit("test"))])
    # 14 bits for the item, 12 for the prediction, 3 for the target, and 1 or 2 for the user are 4 bytes.
    assert (tmp_path / "rows.parquet").stat().st_size < 5 * n
