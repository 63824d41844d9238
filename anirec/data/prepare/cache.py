"""The tidy tables of a source in the cache, made once for the same data.

<cache>/tables/mal_2016-0f3a9c1d2e4b5a68/
    interactions.parquet   columns of `schema.INTERACTIONS`; sorted by user; each (user_id, item_id) once
    items.parquet          columns of `schema.ITEMS`; every item of the interactions, and the others of the dump
    characters.parquet     columns of `schema.CHARACTERS`; each once
    appearances.parquet    columns of `schema.APPEARANCES`; each (item_id, character_id) once
    posts.parquet, tags.parquet, tag_start.npy, tag_number.i4      see `anirec.data.prepare.posts`
    tag_pairs-<tags>.npy   how many posts have both of two tags; added by `anirec.data.posts.datamodule`
    pictures/              what a generated dataset draws
    rejects.parquet        file, line, reason, text of every row that could not be read
    report.json            what was read, kept, removed, and why

A table that the source does not have is absent.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from anirec.data.prepare.build import PICTURES, build
from anirec.data.prepare.fingerprint import fingerprint
from anirec.data.sources.base import Source
from anirec.errors import UserError
from anirec.notices import warn
from anirec.progress import StatusLine

ABANDONED = 24 * 3600  # seconds after which an unfinished folder can only be a killed process's


@dataclass(frozen=True)
class Prepared:
    """The tables of one source in the cache.

    Args:
        folder: Where they lie.
        fingerprint: sha256 (hex) of what they were made from; the same on every machine.
    """

    folder: Path
    fingerprint: str

    @property
    def interactions(self) -> Path | None:
        return self.table("interactions")

    @property
    def items(self) -> Path | None:
        return self.table("items")

    @property
    def characters(self) -> Path | None:
        return self.table("characters")

    @property
    def appearances(self) -> Path | None:
        return self.table("appearances")

    @property
    def posts(self) -> Path | None:
        return self.table("posts")

    def table(self, name: str) -> Path | None:
        """The file of a table; None where the source has no such table."""
        path = self.folder / f"{name}.parquet"
        return path if path.is_file() else None

    @property
    def pictures(self) -> Path:
        """The folder of pictures that the source drew, if it draws any."""
        return self.folder / PICTURES

    @property
    def rejects(self) -> Path:
        return self.folder / "rejects.parquet"

    @property
    def report(self) -> dict[str, Any]:
        """What was read, kept and removed; see `anirec.data.prepare.build.build`."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return report


def prepare(source: Source, cache: Path | str) -> Prepared:
    """The source's tables, from the cache if the same data was prepared before.

    Raises:
        UserError: Files are missing, are not those of this dump, or hold no row that can be read.
    """
    cache = Path(cache)
    with StatusLine(source.name) as waiting:
        waiting.step("looking at the files")
        mark = fingerprint(source, cache)
        prepared = in_cache(source.name, mark, cache)
        if not prepared.folder.is_dir():
            with taking_place_of(prepared.folder) as folder:
                build(source, folder, step=waiting.step)
    warn_of_rejects(source, prepared)
    return prepared


def in_cache(name: str, fingerprint: str, cache: Path) -> Prepared:
    """Where the cache holds the tables of the source of that name and fingerprint, once they are prepared.

    Raises:
        UserError: It is no name or no fingerprint of a source: both become part of a path.
    """
    if not (re.fullmatch(r"\w+", name) and re.fullmatch(r"[0-9a-f]{64}", fingerprint)):
        raise UserError(f"{name!r}, {fingerprint!r}: expected the name of a dataset and 64 hex digits")
    return Prepared(cache / "tables" / f"{name}-{fingerprint[:16]}", fingerprint)


@contextmanager
def taking_place_of(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`; it becomes `folder`, whole, only if the block succeeds.

    Several processes may do so at once: the first to finish stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.glob(".unfinished-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED:
                shutil.rmtree(old)
    beside = folder.parent / f".unfinished-{uuid4().hex}"
    beside.mkdir()
    try:
        yield beside
        try:
            beside.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise UserError(f"The prepared tables cannot be moved to {folder}: {error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def warn_of_rejects(source: Source, prepared: Prepared) -> None:
    """Say what could not be read, also when it was prepared before, since the results rest on it."""
    report = prepared.report
    rejects = {
        key: count for key, count in report["rejects"].items() if key.split(": ", 1)[1] not in source.known_flaws
    }
    n_rejects, n_cells = sum(rejects.values()), sum(report["unreadable_cells"].values())
    if n_rejects:
        n_rows = sum(count for name, count in report.items() if name.endswith("_read"))
        warn(f"{source.name}: {n_rejects} of {n_rows} rows could not be read; see {prepared.rejects}")
    if n_cells:
        cells = ", ".join(report["unreadable_cells"])
        warn(f"{source.name}: {n_cells} cells could not be read and count as unknown ({cells})")
