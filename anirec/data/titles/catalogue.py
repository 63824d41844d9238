"""Catalogue: what one or several dumps say of the same titles, their characters and pictures; and which are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.sources.base import Source
from anirec.data.titles.cleaning import Cleaning, Removed
from anirec.data.titles.franchises import clusters
from anirec.errors import UserError

FIRST = "source"  # the name of the source whose titles count; the others only add to them
OF_CHARACTERS = {"characters": "character_id", "names": "name", "descriptions": "description", "portraits": "portrait"}


@dataclass(frozen=True)
class Catalogue:
    """Titles of the first source with what all sources know of them. Of a column that several have, the first counts.

    Args:
        sources: Readers of dumps with the same item ids, by name; see `by_name`.
        prepared: Their tables; see `all_prepared`.
    """

    sources: Mapping[str, Source]
    prepared: Mapping[str, Prepared]

    def cleaned(self, cleaning: Cleaning) -> tuple[pl.DataFrame, Removed]:
        """The titles that are kept, with the columns of `Corpus.titles`; and how many each rule dropped.

        Raises:
            UserError: No title is left, or some without a score.
        """
        characters, dropped = cleaning.characters(self.characters())
        cast = self.links.join(characters, on="character_id", maintain_order="left")
        titles = self.described_items().join(by_title(cast), on="item_id", how="left", maintain_order="left")
        empty = [pl.col(name).fill_null([]) for name in OF_CHARACTERS]
        titles = titles.with_columns(*empty, pl.col("n_main_characters").fill_null(0))
        n_read = len(titles)
        titles, removed = cleaning.titles(titles)
        if not len(titles):
            raise UserError(nothing_left(n_read, removed))
        if titles["score"].null_count():
            raise UserError("dataset.cleaning.score=false keeps titles without a score; none can be learned from them")
        titles = self.clustered(titles).with_columns(**with_poster())
        return titles, {"titles_read": n_read, **dropped, **removed, "titles_kept": len(titles)}

    def clustered(self, titles: pl.DataFrame) -> pl.DataFrame:
        """With `cluster`. Titles and characters that cleaning drops tie franchises together all the same."""
        of_title = self.links.group_by("item_id", maintain_order=True).agg("character_id")
        found = of_title.select("item_id", cluster=pl.Series(clusters(of_title["character_id"]), dtype=pl.Int32))
        titles = titles.join(found, on="item_id", how="left", maintain_order="left")
        alone = -1 - pl.int_range(pl.len(), dtype=pl.Int32)
        return titles.with_columns(pl.col("cluster").fill_null(alone).rank("dense").cast(pl.Int32) - 1)

    def described_items(self) -> pl.DataFrame:
        """Items to be judged: with `poster`, null where there is none."""
        table = self.items()
        if "synopsis" not in table.columns or "score" not in table.columns:
            raise UserError(f"{self.sources[FIRST].name} has no synopses with scores: it is no corpus")
        return table if "poster" in table.columns else table.with_columns(poster=pl.lit(None, pl.String))

    def items(self) -> pl.DataFrame:
        """The first source's items with what the others add; paths of pictures absolute. Empty without any items."""
        table: pl.DataFrame | None = None
        for name, made in self.prepared.items():
            if made.items is not None:
                more = self.located(name, pl.read_parquet(made.items), "poster")
                table = more if table is None else joined_in(table, more)
        return pl.DataFrame() if table is None else table

    def characters(self) -> pl.DataFrame:
        """character_id, name, description, portrait (absolute path) of every main character of any source."""
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
        folder = self.sources[name].pictures(self.prepared[name].pictures).absolute()
        return table.with_columns((pl.lit(f"{folder}/") + pl.col(column)).alias(column))


def by_name(source: Source, joined: Mapping[str, Source | None] | None) -> dict[str, Source]:
    """The sources of a catalogue; of the joined ones, those that are not null."""
    return {FIRST: source, **{name: reader for name, reader in (joined or {}).items() if reader is not None}}


def all_prepared(sources: Mapping[str, Source], cache: Path) -> dict[str, Prepared]:
    """The tables of each source.

    Raises:
        UserError: What is wrong with any of them, such as missing files; and how to do without a joined one.
    """
    made, problems = {}, []
    for name, source in sources.items():
        try:
            made[name] = prepare(source, cache)
        except UserError as error:
            without = "" if name == FIRST else f"\nOr do without: dataset.joined.{name}=null"
            problems.append(f"{error}{without}")
    if problems:
        raise UserError("\n".join(problems))
    return made


def nothing_left(n_read: int, removed: Removed) -> str:
    counts = ", ".join(f"{rule} dropped {count:,}" for rule, count in removed.items())
    last = next((rule for rule in reversed(removed) if removed[rule]), None)
    advice = f" Loosen a rule, such as dataset.cleaning.{last}." if last else ""
    return f"No title of {n_read:,} is left after cleaning{': ' if counts else ''}{counts}.{advice}"


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
