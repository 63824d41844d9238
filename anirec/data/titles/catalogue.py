"""The catalogue of titles: metadata, characters and pictures from one or several sources, joined and cleaned."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.prepare.checks import Checks
from anirec.data.scale import Scale
from anirec.data.schema import MAL
from anirec.data.sources.base import Source
from anirec.data.titles.cleaning import Cleaning, Removed
from anirec.errors import UserError


def clusters(characters: pl.Series) -> NDArray[np.int32]:
    """Return the cluster number of each title, (n,): titles are connected, directly or not, by shared characters.

    A title without characters is a cluster of its own.

    Args:
        characters: The character ids of each title, a list (n,); may hold nulls.

    >>> clusters(pl.Series([[7, 8], [8, 9], [1], [9], [], None])).tolist()
    [0, 0, 1, 0, 2, 3]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_titles = len(characters)
    pairs = pl.DataFrame({"title": np.arange(n_titles), "character": characters}).explode("character").drop_nulls()
    character = n_titles + pairs["character"].rank("dense").cast(pl.Int64).to_numpy() - 1
    n_nodes = int(character.max(initial=n_titles - 1)) + 1
    edges = coo_array((np.ones(len(pairs), dtype=bool), (pairs["title"].to_numpy(), character)), (n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1][:n_titles]
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int32)


FIRST = "source"  # name of the source that defines the titles; the others only add columns
CHARACTER_LISTS = {
    "characters": "character_id",
    "names": "name",
    "descriptions": "description",
    "portraits": "portrait",
}


@dataclass(frozen=True)
class Catalogue:
    """Titles of the first source, with the columns of all sources; of a column that several have, the first counts.

    Args:
        sources: Sources with the same item ids, by name; see `sources_by_name`.
        prepared: Their prepared tables; see `prepare_all`.
    """

    sources: Mapping[str, Source]
    prepared: Mapping[str, Prepared]

    def clean(self, cleaning: Cleaning) -> tuple[pl.DataFrame, Removed]:
        """Return the cleaned titles with the columns of `Corpus.titles`, and how many rows each rule dropped.

        Raises:
            UserError: No title is left, or some have no score.
        """
        characters, dropped = cleaning.characters(self.characters())
        cast = self.links.join(characters, on="character_id", maintain_order="left")
        titles = self.described_items().join(group_by_title(cast), on="item_id", how="left", maintain_order="left")
        empty = [pl.col(name).fill_null([]) for name in CHARACTER_LISTS]
        titles = titles.with_columns(*empty, pl.col("n_main_characters").fill_null(0))
        n_read = len(titles)
        titles, removed = cleaning.titles(titles)
        if not len(titles):
            raise UserError(no_titles_message(n_read, removed))
        if titles["score"].null_count():
            raise UserError(
                "dataset.cleaning.score=false keeps titles without a score, which cannot be used in training. "
                "Set dataset.cleaning.score=true."
            )
        titles = self.add_clusters(titles).with_columns(**add_poster())
        return titles, {"titles_read": n_read, **dropped, **removed, "titles_kept": len(titles)}

    @property
    def scale(self) -> Scale:
        """The scale of the scores: that of the first source whose items have any."""
        with_scores = (
            made.scale
            for made in self.prepared.values()
            if made.items is not None and "score" in pl.read_parquet_schema(made.items)
        )
        return next(with_scores, MAL)

    def add_clusters(self, titles: pl.DataFrame) -> pl.DataFrame:
        """Add the column `cluster`, computed from all titles and characters, including those that cleaning dropped."""
        of_title = self.links.group_by("item_id", maintain_order=True).agg("character_id")
        found = of_title.select("item_id", cluster=pl.Series(clusters(of_title["character_id"]), dtype=pl.Int32))
        titles = titles.join(found, on="item_id", how="left", maintain_order="left")
        alone = -1 - pl.int_range(pl.len(), dtype=pl.Int32)
        return titles.with_columns(pl.col("cluster").fill_null(alone).rank("dense").cast(pl.Int32) - 1)

    def described_items(self) -> pl.DataFrame:
        """Return the items with `poster`, null where there is none.

        Raises:
            UserError: The items have no synopses or no scores.
        """
        table = self.items()
        if "synopsis" not in table.columns or "score" not in table.columns:
            raise UserError(
                f"{self.sources[FIRST].name} cannot be used for score prediction: its titles have no synopsis or no "
                "score. Choose another dataset; see anirec data list."
            )
        return table if "poster" in table.columns else table.with_columns(poster=pl.lit(None, pl.String))

    def items(self) -> pl.DataFrame:
        """Return the items of the first source with the columns of the others, and with absolute paths of pictures.

        Empty if no source has items.
        """
        table: pl.DataFrame | None = None
        for name, made in self.prepared.items():
            if made.items is not None:
                more = self.with_absolute_paths(name, pl.read_parquet(made.items, glob=False), "poster")
                table = more if table is None else join_columns(table, more)
        return pl.DataFrame() if table is None else table

    def characters(self) -> pl.DataFrame:
        """Return character_id, name, description and portrait (absolute path) of the main characters of all sources."""
        tables = [
            self.with_absolute_paths(name, pl.read_parquet(made.characters, glob=False), "portrait")
            for name, made in self.prepared.items()
            if made.characters is not None
        ]
        ids = self.links.select("character_id").unique(maintain_order=True)
        known = pl.concat(tables, how="diagonal").unique("character_id", keep="first") if tables else ids
        known = ids.join(known, on="character_id", how="left", maintain_order="left")
        lacking = [pl.lit(None, pl.String).alias(c) for c in CHARACTER_LISTS.values() if c not in known.columns]
        return known.with_columns(*lacking)

    @cached_property
    def links(self) -> pl.DataFrame:
        """Pairs of item_id and character_id of main characters, each once.

        Raises:
            UserError: The ids of titles have different types in two sources.
        """
        ids = next((pl.read_parquet_schema(made.items) for made in self.prepared.values() if made.items), {})
        of_item = ids.get("item_id", pl.Int64())
        tables = [
            pl.read_parquet(made.appearances, glob=False)
            for made in self.prepared.values()
            if made.appearances is not None
        ]
        for table in tables:
            check_ids(of_item, table.schema["item_id"])
        if not tables:
            return pl.DataFrame(schema={"item_id": of_item, "character_id": pl.Int64})
        links = pl.concat(tables, how="diagonal").filter(pl.col("role") == "Main")
        return links.select("item_id", "character_id").unique(maintain_order=True)

    def with_absolute_paths(self, name: str, table: pl.DataFrame, column: str) -> pl.DataFrame:
        """Make the paths in a column, which are relative to the source's pictures, absolute."""
        if column not in table.columns:
            return table
        folder = self.sources[name].pictures(self.prepared[name].pictures).absolute()
        return table.with_columns((pl.lit(f"{folder}/") + pl.col(column)).alias(column))


def sources_by_name(source: Source, joined: Mapping[str, Source | None] | None) -> dict[str, Source]:
    """Return the sources of a catalogue by name: the first one, and the joined ones that are not null."""
    return {FIRST: source, **{name: reader for name, reader in (joined or {}).items() if reader is not None}}


def prepare_all(sources: Mapping[str, Source], cache: Path, *, checks: Checks = "warn") -> dict[str, Prepared]:
    """Return the prepared tables of each source, of which the others are joined to the first.

    Raises:
        UserError: Sources cannot be prepared, for example because of missing files, or checks stop; the message covers
            all of them.
    """
    made: dict[str, Prepared] = {}
    problems = []
    for name, source in sources.items():
        try:
            joined_to = made[FIRST].items if FIRST in made else None
            made[name] = prepare(source, cache, checks=checks, joined_to=joined_to)
        except UserError as error:
            without = "" if name == FIRST else f"\nTo run without this source, set dataset.joined.{name}=null."
            problems.append(f"{error}{without}")
    if problems:
        raise UserError("\n".join(problems))
    return made


def no_titles_message(n_read: int, removed: Removed) -> str:
    """Return the error message for a catalogue of which cleaning leaves no title."""
    counts = ", ".join(f"{rule} dropped {count:,}" for rule, count in removed.items())
    last = next((rule for rule in reversed(removed) if removed[rule]), None)
    advice = f" Relax a rule, such as dataset.cleaning.{last}." if last else ""
    return f"None of {n_read:,} titles is left after cleaning{': ' if counts else ''}{counts}.{advice}"


def check_ids(own: pl.DataType, joined: pl.DataType) -> None:
    """Raise a UserError if the ids of titles have another type in a joined source."""
    if own != joined:
        raise UserError(
            f"item_id is {own} in one source and {joined} in a joined source: they cannot be joined. Set the joined "
            "source to null (dataset.joined.NAME=null, or dataset.joined=null for all of them)."
        )


def join_columns(table: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Return `table` with the columns that only `more` has, and without further rows.

    Raises:
        UserError: The ids have different dtypes.
    """
    check_ids(table.schema["item_id"], more.schema["item_id"])
    new = [column for column in more.columns if column not in table.columns]
    return table.join(more.select("item_id", *new), on="item_id", how="left", maintain_order="left")


def group_by_title(cast: pl.DataFrame) -> pl.DataFrame:
    """Return item_id, n_main_characters and the lists of `Corpus.titles`, one row per title."""
    lists = {name: pl.col(column) for name, column in CHARACTER_LISTS.items()}
    return cast.group_by("item_id", maintain_order=True).agg(n_main_characters=pl.len().cast(pl.Int32), **lists)


def add_poster() -> dict[str, pl.Expr]:
    """Return expressions for the lists of characters, with an entry for the poster where a title has no portrait."""
    only_poster = pl.col("poster").is_not_null() & (pl.col("portraits").list.drop_nulls().list.len() == 0)
    entry = {name: pl.lit(None) for name in CHARACTER_LISTS} | {"portraits": pl.col("poster")}
    return {
        name: pl.when(only_poster).then(pl.concat_list(pl.col(name), entry[name])).otherwise(pl.col(name))
        for name in CHARACTER_LISTS
    }
