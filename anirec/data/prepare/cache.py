"""Cache of the tidy tables of sources, under a fingerprint of their content.

<cache>/tables/mal_2016-0f3a9c1d2e4b5a68/
    interactions.parquet   columns of `schema.INTERACTIONS`; sorted by user; each (user_id, item_id) once
    items.parquet          columns of `schema.ITEMS`; all items of the dump and of the interactions
    characters.parquet     columns of `schema.CHARACTERS`; each once
    appearances.parquet    columns of `schema.APPEARANCES`; each (item_id, character_id) once
    posts.parquet, tags.parquet, tag_start.npy, tag_number.i4      see `anirec.data.prepare.posts`
    tag_pairs-<tags>.npy   how many posts have both of two tags; added by `anirec.data.posts.datamodule`
    pictures/              pictures drawn by a generated dataset
    rejects.parquet        file, line, reason, text of every row that could not be read
    report.json            counts of rows read, kept and removed, with reasons

Tables that the source does not have are missing.
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

from filelock import FileLock, Timeout

from anirec.data.prepare.build import PICTURES, build_tables
from anirec.data.prepare.checks import Checks, Subject, check_tables
from anirec.data.prepare.fingerprint import fingerprint
from anirec.data.prepare.space import check_space, explained, make_shared, share
from anirec.data.prepare.use import hold, release
from anirec.data.scale import Scale
from anirec.data.sources.base import Source
from anirec.errors import UserError
from anirec.progress import StatusLine

ABANDONED = 24 * 3600  # seconds after which an unfinished folder must be that of a killed process


@dataclass(frozen=True)
class Prepared:
    """The tables of one source in the cache.

    Args:
        folder: The folder of the tables.
        fingerprint: SHA-256 (hex) of the data they were made from; the same on every machine.
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
        """Return the file of a table; None if the source has no such table."""
        path = self.folder / f"{name}.parquet"
        return path if path.is_file() else None

    @property
    def pictures(self) -> Path:
        """Folder of the pictures that the source has drawn; missing if it draws none."""
        return self.folder / PICTURES

    @property
    def rejects(self) -> Path:
        return self.folder / "rejects.parquet"

    @property
    def report(self) -> dict[str, Any]:
        """Content of report.json; see `anirec.data.prepare.build.build_tables`."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return report

    @property
    def scale(self) -> Scale:
        """The rating scale of the source."""
        return Scale.of(self.report.get("scale"))


def prepare(source: Source, cache: Path | str, *, checks: Checks = "warn", joined_to: Path | None = None) -> Prepared:
    """Return the tables of a source, from the cache if the same data was prepared before.

    Args:
        source: The source.
        cache: The folder of the cache.
        checks: What to do if the tables probably mean something else; see `anirec.data.prepare.checks`.
        joined_to: The table of titles of the dataset that the source is joined to; None if it is the dataset itself.

    Raises:
        UserError: Files are missing, belong to another dump, or have no readable row; or the cache has too little space
            or cannot be written to; or a check stops.
    """
    cache = Path(cache)
    with StatusLine(source.name) as waiting, explained(cache):
        waiting.step("checking the files")
        identity = fingerprint(source, cache)
        prepared = locate_prepared(source.name, identity, cache)
        if not hold(prepared.folder):
            check_space(source, cache)
            make_shared(prepared.folder.parent, cache)
            with only_one(prepared.folder, cache, waiting):
                if not prepared.folder.is_dir():
                    with atomic_folder(prepared.folder) as folder:
                        build_tables(source, folder, step=waiting.step)
                        share(folder, cache)
            hold(prepared.folder)
        check_tables(Subject(source, prepared.folder, joined_to), checks)
    return prepared


def locate_prepared(name: str, fingerprint: str, cache: Path) -> Prepared:
    """Return the place in the cache for the tables of a source; the tables need not exist yet.

    Raises:
        UserError: The name or the fingerprint is malformed; both become part of a path.
    """
    if not (re.fullmatch(r"\w+", name) and re.fullmatch(r"[0-9a-f]{64}", fingerprint)):
        raise UserError(f"{name!r}, {fingerprint!r}: expected the name of a dataset and 64 hex digits")
    return Prepared(cache / "tables" / f"{name}-{fingerprint[:16]}", fingerprint)


@contextmanager
def only_one(folder: Path, cache: Path, waiting: StatusLine) -> Iterator[None]:
    """Let one process at a time build a folder, so that jobs that start together do not all read the dump.

    Unfinished folders of processes that were killed while they built it are removed.
    """
    path = folder.with_name(f".{folder.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting.step("waiting for another process that prepares the tables")
        lock.acquire()
    share(path, cache)
    try:
        for remains in folder.parent.glob(f".unfinished-{folder.name}-*"):  # of a process that was killed
            shutil.rmtree(remains, ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `folder`, and rename it to `folder` if the block succeeds.

    Several processes may do this at the same time; the result of the first to finish is kept.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.glob(".unfinished-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED:
                shutil.rmtree(old)
    unfinished = folder.parent / f".unfinished-{folder.name}-{uuid4().hex}"
    unfinished.mkdir()
    hold(unfinished)
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError as error:
            if not folder.is_dir():
                raise UserError(f"Cannot move the prepared tables to {folder}: {error}.") from error
    finally:
        release(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)
