"""The datamodule of titles with text, characters, pictures and score, cleaned and split.

One title: "Cowboy Bebop", synopsis "In the year 2071, humanity has colonized…", score 8.78, main characters Spike,
Faye, Jet and Ed, cluster 12 (with the film, which has the same main characters).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.data.datamodule import Data
from anirec.data.prepare.checks import Checks
from anirec.data.prepare.fingerprint import digest
from anirec.data.readers.cells import NOT_DESCRIBED, PLACEHOLDER, UNKNOWN
from anirec.data.sources.base import Source
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.titles.catalogue import FIRST, Catalogue, prepare_all, sources_by_name
from anirec.data.titles.cleaning import Cleaning, cut_text
from anirec.data.titles.loaders import EVALUATION_ROWS, TitleBatch, TitleBlocks
from anirec.errors import UserError


class Corpus(Data):
    """Titles, split into `train`, `val` and `test`.

    After `setup`, these attributes exist: `titles`, one row per title; the row numbers `train`, `val` and `test`,
    int64; and `removed`, the number of rows that each cleaning rule dropped. In addition to the columns of
    `schema.ITEMS`, titles have `cluster` (int32, shared by the titles of a franchise), `n_main_characters` (int32), and
    lists with one entry per main character: `characters` (ids), `names`, `descriptions` and `portraits` (absolute
    paths), with null for unknown values. A title without a portrait but with a poster has an additional entry, whose
    portrait is the poster and whose other values are null.

    Args:
        source: The source of the titles.
        joined: Further sources with the same item ids, by any name. They add columns to the titles of `source`; if
            several have the same column, the first counts.
        cleaning: Rules that decide which characters and titles are kept.
        split: Assigns each title to a part.
        cache: Folder of prepared tables and of cached vectors.
        checks: Whether findings of `anirec.data.prepare.checks` may stop; "warn" prints them instead.
    """

    def __init__(
        self,
        *,
        source: Source,
        joined: Mapping[str, Source | None] | None,
        cleaning: Cleaning,
        split: Split,
        cache: str,
        checks: Checks = "stop",
    ) -> None:
        super().__init__()
        self.checks = checks
        self.sources = sources_by_name(source, joined)
        self.cleaning, self.split, self.cache = cleaning, split, Path(cache)

    def prepare_data(self) -> None:
        """Prepare the tables of all sources; Lightning calls this once per machine."""
        prepare_all(self.sources, self.cache, checks=self.checks)

    def load(self) -> None:
        self.read()
        self.parts = self.split.assign(self.titles)
        self.train, self.val, self.test = (np.flatnonzero(self.parts == part) for part in (TRAIN, VAL, TEST))
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "titles")
        self.notes = self.split.notes(self.titles, self.parts)

    def read(self) -> None:
        """Read and clean the titles, without splitting them."""
        self.prepared = prepare_all(self.sources, self.cache, checks=self.checks)
        catalogue = Catalogue(self.sources, self.prepared)
        self.titles, self.removed = catalogue.clean(self.cleaning)
        self.scale = catalogue.scale

    @property
    def score(self) -> NDArray[np.float32]:
        """Scores of the titles on the scale of the site, (n_titles,)."""
        return self.titles["score"].to_numpy()

    def val_dataloader(self) -> Iterable[TitleBatch]:
        return self.blocks(self.val)

    def test_dataloader(self) -> Iterable[TitleBatch]:
        return self.blocks(self.test)

    def transfer_batch_to_device(self, batch: TitleBatch, device: torch.device, dataloader_idx: int) -> TitleBatch:
        """Move the scores. The numbers of titles stay on the CPU: reading them there would wait for the GPU."""
        return TitleBatch(batch.index, batch.score.to(device, non_blocking=True))

    def blocks(self, index: NDArray[np.int64]) -> TitleBlocks:
        """Return batches of the titles, with titles of similar text length together."""
        length = self.titles["synopsis"].str.len_bytes().fill_null(0).to_numpy()[index]
        return TitleBlocks(index[np.argsort(length, kind="stable")], self.score, rows=EVALUATION_ROWS)

    def state_dict(self) -> dict[str, Any]:
        """Return the ids of the training titles, so that a checkpoint says which titles its encoders were fitted on."""
        return {"train": self.titles["item_id"].gather(self.train).to_list()}

    @property
    def facts(self) -> dict[str, float]:
        return self.prepared[FIRST].report["facts"]

    @property
    def findings(self) -> list[str]:
        return self.notes

    def provenance(self) -> dict[str, Any]:
        rules = vars(self.cleaning)
        data = digest([made.fingerprint for made in self.prepared.values()], rules)
        return {
            "data": {
                "fingerprint": data,
                "sources": {name: made.fingerprint for name, made in self.prepared.items()},
                "scale": self.scale.record(),
                "cleaning": rules,
                "removed": self.removed,
                "n_clusters": self.titles["cluster"].n_unique(),
            },
            "split": {**self.split.provenance(self.parts, data), **self.split.bounds(self.titles, self.parts)},
        }


def titles_of(rows: pl.DataFrame, *, cut_at: list[str]) -> pl.DataFrame:
    """Convert rows of a user's file to the form of `Corpus.titles`; `n_main_characters` is null where unknown.

    Args:
        rows: Columns synopsis and, optionally, descriptions, portraits and n_main_characters.
        cut_at: The synopsis is cut before the first occurrence of any of these.

    Raises:
        UserError: There is no column synopsis, or a column has the wrong dtype.

    >>> rows = {"synopsis": ["A ghost.", "No synopsis yet."], "descriptions": [[], ["Timid.", "No biography written."]]}
    >>> titles_of(pl.DataFrame(rows), cut_at=[]).select("synopsis", "descriptions").rows()
    [('A ghost.', []), (None, ['Timid.', None])]
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
    rows = rows.with_columns(known_text(pl.col("synopsis").cast(pl.String), PLACEHOLDER), *lists)
    descriptions = pl.col("descriptions").list.eval(known_text(pl.element(), NOT_DESCRIBED))
    rows = rows.with_columns(cut_text(pl.col("synopsis"), cut_at), descriptions)
    n_members = pl.max_horizontal(pl.col("descriptions").list.len(), pl.col("portraits").list.len())
    if "n_main_characters" not in rows.columns:
        rows = rows.with_columns(n_main_characters=pl.when(n_members > 0).then(n_members).cast(pl.Int32))
    # The lists are parallel: unknown values of a character are null.
    return rows.with_columns(
        pl.concat_list(pl.col(name), pl.lit(None, pl.String).repeat_by(n_members - pl.col(name).list.len()))
        for name in ("descriptions", "portraits")
    )


def known_text(text: pl.Expr, placeholder: str) -> pl.Expr:
    """Return a text, or null if it matches a placeholder or is a word for "unknown", as in the tables of the dumps."""
    text = text.str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(UNKNOWN) & ~text.str.contains(placeholder)).then(text)
