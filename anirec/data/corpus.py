"""Corpus: titles with text, characters, pictures and score, cleaned and split, as Lightning wants them.

One title: "Cowboy Bebop", synopsis "In the year 2071, humanity has colonized…", score 8.78, main characters Spike,
Faye, Jet and Ed, franchise 12 (with the film, which has the same ones).
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule

from anirec.data.cleaning import Cleaning, cut
from anirec.data.datamodule import digest
from anirec.data.franchises import clusters
from anirec.data.prepare import Prepared, prepare
from anirec.data.sources.source import Source
from anirec.data.splits import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.titles import EVALUATION_ROWS, TitleBatch, TitleBlocks
from anirec.errors import UserError

OF_CHARACTERS = {"characters": "character_id", "names": "name", "descriptions": "description", "portraits": "portrait"}


class Corpus(LightningDataModule):
    """Titles, split into `train`, `val` and `test`.

    Args:
        source: The dump's reader.
        joined: Readers of further dumps with the same item ids, by any name: what they say of the source's titles is
            joined in. Of a column that several have, the first counts.
        cleaning: Which characters and titles are kept.
        split: Decides which titles train, validate and test.
        cache: Folder of prepared tables, and of whatever else is computed once.

    After `setup`: `titles`, one row a title; its row numbers `train`, `val` and `test`, int64; `removed`, how many rows
    each cleaning rule dropped. Beside the columns of `tables.ITEMS`, titles have `cluster` (int32: titles of a
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
        further = {name: reader for name, reader in (joined or {}).items() if reader is not None}
        self.sources = {"source": source, **further}
        self.cleaning, self.split, self.cache = cleaning, split, Path(cache)
        self.is_loaded = False

    def prepare_data(self) -> None:
        """Fill the cache, once a machine."""
        for name, source in self.sources.items():
            prepared(name, source, self.cache)

    def setup(self, stage: str) -> None:
        if not self.is_loaded:
            self.load()
            self.is_loaded = True

    def load(self) -> None:
        """Read the prepared tables, clean, join, split."""
        self.read()
        self.parts = self.split.assign(self.titles)
        self.train, self.val, self.test = (np.flatnonzero(self.parts == part) for part in (TRAIN, VAL, TEST))
        check_parts(self.split, {"train": len(self.train), "val": len(self.val), "test": len(self.test)}, "titles")

    def read(self) -> None:
        """Titles, cleaned, before any split."""
        self.prepared = {name: prepared(name, source, self.cache) for name, source in self.sources.items()}
        characters, dropped = self.cleaning.characters(self.characters())
        cast = self.links.join(characters, on="character_id", maintain_order="left")
        titles = self.items().join(by_title(cast), on="item_id", how="left", maintain_order="left")
        empty = [pl.col(name).fill_null([]) for name in OF_CHARACTERS]
        titles = titles.with_columns(*empty, pl.col("n_main_characters").fill_null(0))
        n_read = len(titles)
        titles, removed = self.cleaning.titles(titles)
        self.removed = {"titles_read": n_read, **dropped, **removed, "titles_kept": len(titles)}
        if not len(titles):
            raise UserError(f"No title is left after cleaning: {self.removed}. Loosen a rule under dataset.cleaning.")
        if titles["score"].null_count():
            raise UserError("dataset.cleaning.score=false keeps titles without a score; none can be learned from them")
        self.titles = titles.with_columns(cluster=pl.Series(clusters(titles["characters"])), **with_poster())

    def items(self) -> pl.DataFrame:
        """The source's items with what the joined ones add; paths of pictures absolute."""
        table: pl.DataFrame | None = None
        for name, made in self.prepared.items():
            if made.items is not None:
                more = self.located(name, pl.read_parquet(made.items), "poster")
                table = more if table is None else joined_in(table, more)
        if table is None or "synopsis" not in table.columns or "score" not in table.columns:
            raise UserError(f"{self.sources['source'].name} has no synopses with scores: it is no corpus")
        return table if "poster" in table.columns else table.with_columns(poster=pl.lit(None, pl.String))

    def characters(self) -> pl.DataFrame:
        """character_id, name, description, portrait (absolute path) of every character of any source."""
        tables = [
            self.located(name, pl.read_parquet(made.characters), "portrait")
            for name, made in self.prepared.items()
            if made.characters is not None
        ]
        ids = self.links.select("character_id").unique(maintain_order=True)
        known = pl.concat(tables, how="diagonal").unique("character_id", keep="first") if tables else ids
        known = ids.join(known, on="character_id", how="left", maintain_order="left")
        lacking = [pl.lit(None, pl.String).alias(c) for c in OF_CHARACTERS.values() if c not in known.columns]
        return known.with_columns(*lacking)

    @cached_property
    def links(self) -> pl.DataFrame:
        """item_id and character_id of main characters, each pair once."""
        tables = [pl.read_parquet(made.appearances) for made in self.prepared.values() if made.appearances is not None]
        if not tables:
            return pl.DataFrame(schema={"item_id": pl.Int64, "character_id": pl.Int64})
        links = pl.concat(tables, how="diagonal").filter(pl.col("role") == "Main")
        return links.select("item_id", "character_id").unique(maintain_order=True)

    def located(self, name: str, table: pl.DataFrame, column: str) -> pl.DataFrame:
        """Paths relative to the source's pictures made absolute."""
        if column not in table.columns:
            return table
        folder = self.sources[name].pictures(self.prepared[name]).absolute()
        return table.with_columns((pl.lit(f"{folder}/") + pl.col(column)).alias(column))

    @property
    def score(self) -> NDArray[np.float32]:
        """(n_titles,): on the site's scale, 1-10."""
        return self.titles["score"].to_numpy()

    def train_dataloader(self) -> Iterable[Any]:
        """The batches that the model asks for."""
        trainer: Any = self.trainer
        return trainer.lightning_module.batches(self, trainer.global_rank, trainer.world_size)

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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint of another training set."""
        if state != self.state_dict():
            raise UserError(
                "The checkpoint was made on other data than this config reads; start a new run (resume=false)."
            )

    @property
    def facts(self) -> dict[str, float]:
        """What is known about the data beforehand, such as the best reachable error of generated scores."""
        return self.prepared["source"].report["facts"]

    def provenance(self) -> dict[str, Any]:
        """Fingerprints of the data and of the split; runs of the same `family` may be ranked together."""
        rules = vars(self.cleaning)
        data = digest([made.fingerprint for made in self.prepared.values()], rules)
        settings = {"split": type(self.split).__name__, **vars(self.split)}
        fold = settings.pop(self.split.replicate) if self.split.replicate else None
        return {
            "data": {
                "fingerprint": data,
                "sources": {name: made.fingerprint for name, made in self.prepared.items()},
                "cleaning": rules,
                "removed": self.removed,
                "n_clusters": self.titles["cluster"].n_unique(),
            },
            "split": {
                "family": digest(data, settings),
                "fingerprint": digest(data, hashlib.sha256(self.parts.tobytes()).hexdigest()),
                "fold": fold,
                **{f"n_{name}": len(getattr(self, name)) for name in ("train", "val", "test")},
            },
        }


def prepared(name: str, source: Source, cache: Path) -> Prepared:
    try:
        return prepare(source, cache)
    except UserError as error:
        if name == "source":
            raise
        raise UserError(f"{error}\nOr do without: dataset.joined.{name}=null") from None


def joined_in(table: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """`table` with the columns that only `more` has; no further rows.

    Raises:
        UserError: The ids are of different kinds.
    """
    if table.schema["item_id"] != more.schema["item_id"]:
        raise UserError(
            f"item_id is {table.schema['item_id']} in one source and {more.schema['item_id']} in a joined one"
        )
    new = [column for column in more.columns if column not in table.columns]
    return table.join(more.select("item_id", *new), on="item_id", how="left", maintain_order="left")


def by_title(cast: pl.DataFrame) -> pl.DataFrame:
    """item_id, n_main_characters and the lists of `Corpus.titles`, one row a title."""
    lists = {name: pl.col(column) for name, column in OF_CHARACTERS.items()}
    return cast.group_by("item_id", maintain_order=True).agg(n_main_characters=pl.len().cast(pl.Int32), **lists)


def with_poster() -> dict[str, pl.Expr]:
    """The four lists, one longer where only a poster shows what a title looks like."""
    only_poster = pl.col("poster").is_not_null() & (pl.col("portraits").list.drop_nulls().list.len() == 0)
    entry = {name: pl.lit(None) for name in OF_CHARACTERS} | {"portraits": pl.col("poster")}
    return {
        name: pl.when(only_poster).then(pl.concat_list(pl.col(name), entry[name])).otherwise(pl.col(name))
        for name in OF_CHARACTERS
    }


def titles_of(rows: pl.DataFrame, *, cut_at: list[str]) -> pl.DataFrame:
    """Rows of a stranger's file in the form of `Corpus.titles`.

    Raises:
        UserError: There is no synopsis; a column is of another type.
    """
    if "synopsis" not in rows.columns:
        raise UserError(f"no column synopsis; there are {', '.join(rows.columns)}")
    wanted = {"synopsis": pl.String(), "descriptions": pl.List(pl.String), "portraits": pl.List(pl.String)}
    for name, dtype in wanted.items():
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None if name == "synopsis" else [], dtype).alias(name))
        elif rows.schema[name] not in (dtype, pl.Null()):
            raise UserError(f"column {name} holds {rows.schema[name]}, expected {dtype}")
    lists = [pl.col(name).cast(wanted[name]).fill_null([]) for name in ("descriptions", "portraits")]
    rows = rows.with_columns(cut(pl.col("synopsis").cast(pl.String), cut_at), *lists)
    n_members = pl.max_horizontal(pl.col("descriptions").list.len(), pl.col("portraits").list.len())
    rows = rows.with_columns(n_main_characters=n_members.cast(pl.Int32))
    # The lists are parallel: what is unknown of a character is null.
    return rows.with_columns(
        pl.concat_list(pl.col(name), pl.lit(None, pl.String).repeat_by(n_members - pl.col(name).list.len()))
        for name in ("descriptions", "portraits")
    )
