"""What a dataset is before it is prepared: files (if any), options, and lazy tidy tables with marks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from anirec.errors import UserError
from anirec.settings import Configurable


class Source(Configurable):
    """Yields the tidy tables of `anirec.data.schema` that it has; `anirec.data.prepare` checks and caches them.

    `columns` are the columns of all its tables, as a literal that can be read without running the module; `version`
    grows whenever the tables change for the same files; `known_flaws` are reasons for which the published files
    themselves hold rows that are left out: counted and kept with the rejects, but no cause for a warning.
    """

    columns: ClassVar[frozenset[str]]
    version: ClassVar[int]
    known_flaws: ClassVar[frozenset[str]] = frozenset()

    @property
    def name(self) -> str:
        """The dataset's name: the module's."""
        return type(self).__module__.rpartition(".")[2]

    def files(self) -> list[Path]:
        """The files that the tables come from. None: generated."""
        return []

    def options(self) -> Mapping[str, Any]:
        """What, beside the files, decides the tables; plain values."""
        return {}

    def facts(self) -> Mapping[str, float]:
        """Numbers known about the data, such as the error that no model can beat. Asked once, when preparing."""
        return {}

    def interactions(self) -> pl.LazyFrame | None:
        """Columns of `tables.INTERACTIONS`, in file order; duplicates allowed. None: no user's ratings.

        May carry `tables.MARKS`, and a column `title` (String) that names titles which `items` does not have.
        """
        return None

    def items(self) -> pl.LazyFrame | None:
        """Columns of `tables.ITEMS`, small; duplicates allowed (the first counts). May carry `tables.MARKS`.

        Never None beside interactions. Without `title`: they only add to the titles of another source.
        """
        return None

    def characters(self) -> pl.LazyFrame | None:
        """Columns of `tables.CHARACTERS`, like items; None: no characters, or nothing but their appearances."""
        return None

    def appearances(self) -> pl.LazyFrame | None:
        """Columns of `tables.APPEARANCES`, like items; of duplicates the weightiest role counts."""
        return None

    def posts(self) -> pl.LazyFrame | None:
        """Columns of `tables.POSTS`, streamed, in file order; duplicates allowed (the first counts). None: no posts."""
        return None

    def draw(self, folder: Path) -> None:
        """Write the pictures of a generated dataset into `folder`, which does not exist yet. Asked once."""

    def pictures(self, drawn: Path) -> Path:
        """The folder inside which `poster` and `portrait` are.

        Args:
            drawn: The folder that `draw` has filled, if it draws any.
        """
        return drawn

    def without_interactions(self) -> str:
        """What to tell someone who needs interactions where there are none."""
        return f"{self.name} holds titles, but no ratings by users; choose a dataset that does (anirec data list)."


@dataclass(frozen=True)
class Need:
    """One thing that a dump must have: a file under one of several names.

    Args:
        names: File names, best first; a pattern such as *.json stands for all files that match it.
        every: Read all of them that are there, not only the first.
        sample: A part of the dump, read only where none of `names` is there.
        optional: It may be absent; the tables that come from it alone are then absent too.
    """

    names: tuple[str, ...]
    every: bool = False
    sample: str | None = None
    optional: bool = False

    def find(self, folder: Path) -> list[Path]:
        """The files to read; empty if there is none."""
        there = [found for name in self.names if (found := sorted(filter(Path.is_file, folder.glob(name))))]
        if not there and self.sample and (folder / self.sample).is_file():
            return [folder / self.sample]
        return [path for found in (there if self.every else there[:1]) for path in found]

    def __str__(self) -> str:
        return (" and/or " if self.every else " or ").join(self.names) + (f" (or {self.sample})" if self.sample else "")


class Dump(Source):
    """A dump of files in one folder.

    Args:
        folder: Where they lie, under their own names.
    """

    origin: ClassVar[str]  # where a person gets the dump
    needs: tuple[Need, ...]

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)

    def found(self) -> list[list[Path]]:
        """The files of each need.

        Raises:
            UserError: Some need has no file; names all of them, the folder, and where the dump comes from.
        """
        found = [need.find(self.folder) for need in self.needs]
        absent = [need for need, paths in zip(self.needs, found, strict=True) if not paths]
        # Nothing at all: then the optional ones are asked for too.
        if not any(found) or not all(need.optional for need in absent):
            raise UserError(self.complaint(absent))
        return found

    def files(self) -> list[Path]:
        return [path for paths in self.found() for path in paths]

    def pictures(self, drawn: Path) -> Path:
        return self.folder

    def without_interactions(self) -> str:
        absent = [need for need in self.needs if need.optional and not need.find(self.folder)]
        return self.complaint(absent) if absent else super().without_interactions()

    def complaint(self, missing: list[Need]) -> str:
        packed = sorted(path.name for pattern in ("*.zip", "*.gz", "*.7z") for path in self.folder.glob(pattern))
        state = "" if self.folder.is_dir() else " (there is no such folder)"
        lines = [
            f"{self.name}: {len(missing)} of {len(self.needs)} files are missing in {self.folder.absolute()}{state}:",
            *(f"  {need}" for need in missing),
            f"They come from {self.origin}. Put them there under these names,",
            f"or set ANIREC_DATA (paths.data) to the folder that holds {self.folder.name}/.",
        ]
        if packed:
            lines.append(f"In that folder lies {', '.join(packed)}: unpack it first.")
        return "\n".join(lines)
