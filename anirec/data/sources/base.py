"""Base classes of data sources: a source reads or generates the tidy tables of one dataset."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.settings import Configurable


class Source(Configurable):
    """A dataset as lazy tables in the schema of `anirec.data.schema`; `anirec.data.prepare` checks and caches them.

    `columns` are the columns of all tables, as a literal that can be read without running the module; where they depend
    on the settings, `columns_by` is the `module:function` that returns them for a mapping of settings. `version` is
    increased whenever the tables change for the same files and arguments. `in_files` are the arguments that only choose
    files, whose content identifies them. `known_flaws` are reasons for which rows of the published
    files are rejected: such rows are counted and kept with the rejects, but do not cause a warning. `item_url` is the
    address of a title's page up to its id; None if there is no such page. `repair` is what a person should do if no row
    of a table can be read. `scale` is that of ratings and scores.
    """

    arguments: Mapping[str, Any]  # of the constructor
    columns: frozenset[str]
    columns_by: ClassVar[str] = ""
    in_files: ClassVar[frozenset[str]] = frozenset({"folder"})
    version: ClassVar[int] = 1
    known_flaws: ClassVar[frozenset[str]] = frozenset()
    item_url: ClassVar[str | None] = None
    repair: ClassVar[str] = "Download the dump's files again."
    scale: Scale = Scale()

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        source = super().__new__(cls)
        with suppress(TypeError):  # which the constructor raises, too; an unpickled object has none yet
            source.arguments = bound_arguments(cls, *arguments, **settings)
        return source

    @property
    def name(self) -> str:
        """Name of the dataset, which is the name of its module."""
        return type(self).__module__.rpartition(".")[2]

    def files(self) -> list[Path]:
        """Return the files that the tables are read from; empty for generated data."""
        return []

    def options(self) -> Mapping[str, Any]:
        """Return what determines the tables beside the files and the arguments of the constructor, as plain values."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Return all that determines the tables but the content of the files: name, version, arguments and options."""
        arguments = {name: value for name, value in self.arguments.items() if name not in self.in_files}
        own = {} if type(self).__module__.startswith("anirec.") else {"class": type(self).__qualname__}
        options = {**own, **arguments, **self.options()}
        return {"name": self.name, "version": self.version, "options": json.loads(json.dumps(options, default=str))}

    def facts(self) -> Mapping[str, float]:
        """Return known values of metrics, such as the lowest reachable error; called once, during preparation."""
        return {}

    def interactions(self) -> pl.LazyFrame | None:
        """Return the columns of `schema.INTERACTIONS`, in file order, with duplicates; None without ratings by users.

        May carry `schema.MARKS`, and a column `title` (String) with the names of titles that `items` lacks.
        """
        return None

    def items(self) -> pl.LazyFrame | None:
        """Return the columns of `schema.ITEMS`; of duplicates, the first counts. May carry `schema.MARKS`.

        A source with interactions must have items. Items without `title` only add columns to those of another source.
        """
        return None

    def characters(self) -> pl.LazyFrame | None:
        """Return the columns of `schema.CHARACTERS`; of duplicates, the first counts. May carry `schema.MARKS`.

        None if the source has no characters, or knows only their appearances.
        """
        return None

    def appearances(self) -> pl.LazyFrame | None:
        """Return the columns of `schema.APPEARANCES`; of duplicates, the most important role counts.

        May carry `schema.MARKS`. None if the source does not know who appears in which title.
        """
        return None

    def posts(self) -> pl.LazyFrame | None:
        """Return the columns of `schema.POSTS`, streamed, in file order; of duplicates, the first counts.

        None if the source has no posts.
        """
        return None

    def draw(self, folder: Path) -> None:
        """Write the pictures of a generated dataset to `folder`, which does not exist yet; called once."""

    def pictures(self, drawn: Path) -> Path:
        """Return the folder that the paths in `poster` and `portrait` are relative to.

        Args:
            drawn: The folder that `draw` has written to, for sources that draw pictures.
        """
        return drawn

    def no_ratings_message(self) -> str:
        """Return the error message for a task that needs ratings if the source has none."""
        return f"{self.name} has titles, but no ratings by users. Choose a dataset with ratings; see anirec data list."


def bound_arguments(cls: type, *arguments: Any, **settings: Any) -> dict[str, Any]:
    """Return the arguments of a constructor by name, with those that have default values."""
    init: Any = cls.__init__  # type: ignore[misc]
    if init is object.__init__:
        return settings
    parameters = inspect.signature(init)
    bound = parameters.bind(None, *arguments, **settings)
    bound.apply_defaults()
    _, *names = parameters.parameters  # without the object itself
    found = {name: bound.arguments[name] for name in names}
    for name in names:
        if parameters.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found |= found.pop(name)
    return found


@dataclass(frozen=True)
class Need:
    """A file that a dump needs, which may have one of several names.

    Args:
        names: File names, preferred first; a pattern such as *.json stands for all files that match it, and several
            patterns with commas between them for the files that match any.
        every: Read all existing files of these names, not only the first.
        sample: Name of a part of the dump, which is read only if none of `names` exists.
        optional: Whether the file may be missing; tables that are read from it alone are then missing too.
    """

    names: tuple[str, ...]
    every: bool = False
    sample: str | None = None
    optional: bool = False

    def find(self, folder: Path) -> list[Path]:
        """Return the files to read; empty if there are none."""
        by_name = [{path for pattern in name.split(", ") for path in folder.glob(pattern)} for name in self.names]
        matches = [found for paths in by_name if (found := sorted(filter(Path.is_file, paths)))]
        if not matches and self.sample and (folder / self.sample).is_file():
            return [folder / self.sample]
        return [path for found in (matches if self.every else matches[:1]) for path in found]

    def __str__(self) -> str:
        return (" and/or " if self.every else " or ").join(self.names) + (f" (or {self.sample})" if self.sample else "")


class Dump(Source):
    """A source that reads the files of a published dump.

    Args:
        folder: The folder of the files, under their original names.
    """

    origin: ClassVar[str]  # where users get the dump
    n_published: ClassVar[int] = 0  # approximate number of list entries or posts of the complete dump; 0: unknown
    needs: tuple[Need, ...]

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)

    def find_files(self) -> list[list[Path]]:
        """Return the files of each element of `needs`.

        Raises:
            UserError: Files are missing; the message lists all of them, the folder, and where to get the dump.
        """
        found = [need.find(self.folder) for need in self.needs]
        absent = [need for need, paths in zip(self.needs, found, strict=True) if not paths]
        # If no file exists at all, the message lists the optional ones, too.
        if not any(found) or not all(need.optional for need in absent):
            raise UserError(self.missing_message(absent))
        return found

    def files(self) -> list[Path]:
        return [path for paths in self.find_files() for path in paths]

    def pictures(self, drawn: Path) -> Path:
        return self.folder

    def no_ratings_message(self) -> str:
        absent = [need for need in self.needs if need.optional and not need.find(self.folder)]
        return self.missing_message(absent) if absent else super().no_ratings_message()

    def missing_message(self, missing: list[Need]) -> str:
        packed = sorted(path.name for pattern in ("*.zip", "*.gz", "*.7z") for path in self.folder.glob(pattern))
        state = "" if self.folder.is_dir() else " (there is no such folder)"
        command = f"by anirec data get {self.name}, or " if self.origin.startswith("https://") else ""
        lines = [
            f"{self.name}: {len(missing)} of {len(self.needs)} files are missing in {self.folder.absolute()}{state}:",
            *(f"  {need}" for need in missing),
            f"Get them {command}from {self.origin} and save them in this folder under these names,",
            f"or set ANIREC_DATA (paths.data) to the folder that contains {self.folder.name}/.",
        ]
        if packed:
            lines.append(f"The folder contains {', '.join(packed)}: unpack it first.")
        return "\n".join(lines)


def is_inside(folder: Path, name: str) -> bool:
    """Return whether a path stays inside a folder: not absolute, not above it, and not through a link to the outside.

    >>> is_inside(Path("posters"), "images/1.jpg"), is_inside(Path("posters"), "../secret.jpg")
    (True, False)
    """
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # links in a circle; a zero byte
        return False


def file_names(folder: Path) -> list[str]:
    """Return the sorted names of the files in a folder; empty if the folder does not exist."""
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def names_digest(names: list[str]) -> str:
    """Return a short fingerprint of the names of pictures; their contents are hashed where they are read."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
