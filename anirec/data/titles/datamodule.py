"""Corpus: titles with text, characters, pictures and score, cleaned and split, as Lightning wants them.

One title: "Cowboy Bebop", synopsis "In the year 2071, humanity has colonized…", score 8.78, main characters Spike,
Faye, Jet and Ed, franchise 12 (with the film, which has the same ones).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.datamodule import Data
from anirec.data.prepare.fingerprint import digest
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.titles.catalogue import FIRST, Catalogue, all_prepared, by_name
from anirec.data.titles.cleaning import Cleaning, cut
from anirec.data.titles.loaders import EVALUATION_ROWS, TitleBatch, TitleBlocks
from anirec.errors import UserError


class Corpus(Data):
    """Titles, split into `train`, `val` and `test`.

    Args:
        source: The dump's reader.
        joined: Readers of further dumps with the same item ids, by any name: what they say of the source's titles is
            joined in. Of a column that several have, the first counts.
        cleaning: Which characters and titles are kept.
        split: Decides which titles train, validate and test.
        cache: Folder of prepared tables, and of whatever else is computed once.

    After `setup`: `titles`, one row a title; its row numbers `train`, `val` and `test`, int64; `removed`, how many rows
    each cleaning rule dropped. Beside the columns of `schema.ITEMS`, titles have `cluster` (int32: titles of a
    franchise share it), `n_main_characters` (int32), and lists with one entry a main character: `characters` (ids),
    `names`, `descriptions`, `portraits` (absolute paths), null within where unknown. A title without any portrait but
    with a poster has one more entry, of which only the portrait is known: the poster.
    """

    def __init__(
        self,
        *,
        source: Source,
        joined: Mapping[str, Source | None] | None,
        cleaning: Cleaning,
        split: Split,
        cache: str,
    ) -> None:
        super().__init__()
        self.sources = by_name(source, joined)
        self.cleaning, self.split, self.cache = cleaning, split, Path(cache)

    def prepare_data(self) -> None:
        """Fill the cache, once a machine."""
        all_prepared(self.sources, self.cache)

    def load(self) -> None:
        self.read()
        self.parts = self.split.assign(self.titles)
        self.train, self.val, self.test = (np.flatnonzero(self.parts == part) for part in (TRAIN, VAL, TEST))
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "titles")

    def read(self) -> None:
        """Titles, cleaned, before any split."""
        self.prepared = all_prepared(self.sources, self.cache)
        self.titles, self.removed = Catalogue(self.sources, self.prepared).cleaned(self.cleaning)

    @property
    def score(self) -> NDArray[np.float32]:
        """(n_titles,): on the site's scale, 1-10."""
        return self.titles["score"].to_numpy()

    def val_dataloader(self) -> Iterable[TitleBatch]:
        return self.blocks(self.val)

    def test_dataloader(self) -> Iterable[TitleBatch]:
        return self.blocks(self.test)

    def blocks(self, index: NDArray[np.int64]) -> TitleBlocks:
        """The titles once, those with texts of a length together."""
        length = self.titles["synopsis"].str.len_bytes().fill_null(0).to_numpy()[index]
        return TitleBlocks(index[np.argsort(length, kind="stable")], self.score, rows=EVALUATION_ROWS)

    def state_dict(self) -> dict[str, Any]:
        """The ids of the training titles: an encoder fitted on them has not seen the others."""
        return {"train": self.titles["item_id"].gather(self.train).to_list()}

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared[FIRST].report["facts"]

    def provenance(self) -> dict[str, Any]:
        rules = vars(self.cleaning)
        data = digest([made.fingerprint for made in self.prepared.values()], rules)
        return {
            "data": {
                "fingerprint": data,
                "sources": {name: made.fingerprint for name, made in self.prepared.items()},
                "cleaning": rules,
                "removed": self.removed,
                "n_clusters": self.titles["cluster"].n_unique(),
            },
            "split": self.split.provenance(self.parts, data),
        }


def titles_of(rows: pl.DataFrame, *, cut_at: list[str]) -> pl.DataFrame:
    """Rows of a stranger's file in the form of `Corpus.titles`; `n_main_characters` is null where nothing tells it.

    Raises:
        UserError: There is no synopsis; a column is of another type.
    """
    if "synopsis" not in rows.columns:
        raise UserError(f"no column synopsis; there are {', '.join(rows.columns)}")
    wanted = {"synopsis": pl.String(), "descriptions": pl.List(pl.String), "portraits": pl.List(pl.String)}
    for name, dtype in wanted.items():
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None if name == "synopsis" else [], dtype).alias(name))
        elif rows.schema[name] not in (dtype, pl.Null(), pl.List(pl.Null)):
            raise UserError(f"column {name} holds {rows.schema[name]}, expected {dtype}")
    lists = [pl.col(name).cast(wanted[name]).fill_null([]) for name in ("descriptions", "portraits")]
    rows = rows.with_columns(cut(pl.col("synopsis").cast(pl.String), cut_at), *lists)
    n_members = pl.max_horizontal(pl.col("descriptions").list.len(), pl.col("portraits").list.len())
    if "n_main_characters" not in rows.columns:
        rows = rows.with_columns(n_main_characters=pl.when(n_members > 0).then(n_members).cast(pl.Int32))
    # The lists are parallel: what is unknown of a character is null.
    return rows.with_columns(
        pl.concat_list(pl.col(name), pl.lit(None, pl.String).repeat_by(n_members - pl.col(name).list.len()))
        for name in ("descriptions", "portraits")
    )
