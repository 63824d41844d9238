"""Writing of a run's tables as Parquet files that are small and grow part by part."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import polars as pl

from anirec.atomic import replacing

# Of columns that a dictionary of their values, the default, does not suit: ascending ids, and rounded scores.
ENCODINGS = {"user_id": "DELTA_BINARY_PACKED", "score": "BYTE_STREAM_SPLIT"}


def write_parquet(path: Path, parts: Iterable[pl.DataFrame]) -> None:
    """Write a table, one row group for each part; there is at least one part.

    Only one part is in memory. The file appears when the last one is written.
    """
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        parts = iter(parts)
        first = next(parts)
        special = {
            name: encoding
            for name, encoding in ENCODINGS.items()
            if name in first.columns and first[name].dtype.is_numeric()
        }
        others = [name for name in first.columns if name not in special]
        schema = first.to_arrow().schema
        encodings = {"use_dictionary": others, "column_encoding": special} if special else {}
        with pq.ParquetWriter(temporary, schema, compression="zstd", **encodings) as writer:
            for part in chain([first], parts):
                writer.write_table(part.to_arrow(), row_group_size=max(1, len(part)))
