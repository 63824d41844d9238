"""`anirec data clean`: list what the cache holds, and remove what is no longer needed.

<cache>/
    tables/       prepared tables of datasets
    embeddings/   vectors of texts and pictures, by encoder
    pixels/       pictures, decoded and scaled
    contents/     hashes of the files of dumps
"""

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.markup import escape

from anirec.config.compose import did_you_mean
from anirec.data.prepare.use import locked
from anirec.errors import UserError
from anirec.memory import format_size
from anirec.printable import Console
from anirec.progress import duration
from anirec.tracking.folders import folder_bytes

CONSOLE = Console(highlight=False, soft_wrap=True)
DAY = 86_400.0  # seconds
TABLES = re.compile(r"(\w+)-[0-9a-f]{16}")
UNFINISHED = re.compile(r"\.unfinished-(\w+-[0-9a-f]{16}-)?[0-9a-f]{32}")
STORE = re.compile(r"[0-9a-f]{16}")
STORES = {"embeddings": "vectors", "pixels": "pictures"}


@dataclass(frozen=True)
class Entry:
    """A folder of the cache.

    Attributes:
        folder: The folder.
        content: What it holds, for the list.
        dataset: The dataset of prepared tables; None for anything else.
        used: Time of its last use, in seconds since 1970.
        in_use: Whether a process of this machine reads or writes it.
    """

    folder: Path
    content: str
    dataset: str | None
    used: float
    in_use: bool

    @property
    def size(self) -> int:
        return folder_bytes([self.folder])


def find_entries(cache: Path) -> list[Entry]:
    """Return the entries of a cache, the least recently used first; other files and folders are ignored."""
    found = []
    for folder, content, dataset in known_folders(cache):
        with suppress(FileNotFoundError):  # another process has removed it
            found.append(Entry(folder, content, dataset, folder.stat().st_mtime, is_used(folder)))
    return sorted(found, key=lambda entry: entry.used)


def known_folders(cache: Path) -> Iterator[tuple[Path, str, str | None]]:
    for folder in subfolders(cache / "tables"):
        if match := TABLES.fullmatch(folder.name):
            yield folder, f"tables of {match[1]}", match[1]
        elif UNFINISHED.fullmatch(folder.name):
            yield folder, "unfinished tables", None
    for name, content in STORES.items():
        yield from ((folder, content, None) for folder in subfolders(cache / name) if STORE.fullmatch(folder.name))
    if (contents := cache / "contents").is_dir():
        yield contents, "hashes of files", None


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without links; empty if there is no such folder."""
    if not folder.is_dir():
        return []
    return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]


def is_used(folder: Path) -> bool:
    """Return whether a process of this machine uses a folder."""
    with locked(folder) as is_free:
        return not is_free


def choose(
    entries: Iterable[Entry], *, datasets: Sequence[str], older_than: int | None, everything: bool
) -> list[Entry]:
    """Return the entries to remove: of these datasets, or all; and not used for this many days.

    Raises:
        UserError: The cache has no tables of one of the datasets.
    """
    if everything and datasets:
        raise UserError(f"--all removes all entries, not only those of {', '.join(datasets)}: give names or --all.")
    entries = list(entries)
    known = sorted({entry.dataset for entry in entries if entry.dataset})
    for name in datasets:
        if name not in known:
            raise UserError(f"{name}: the cache has no tables of it{did_you_mean(name, known)}")
    if not (datasets or everything or older_than is not None):
        return []
    oldest = time.time() - (older_than or 0) * DAY
    return [
        entry
        for entry in entries
        if (not datasets or entry.dataset in datasets) and (older_than is None or entry.used <= oldest)
    ]


def show_entries(entries: Sequence[Entry]) -> None:
    """Print the entries with their sizes and ages."""
    for entry in entries:
        age = duration(max(0.0, time.time() - entry.used)) if time.time() - entry.used < 2 * DAY else days(entry.used)
        name = f"{entry.folder.parent.name}/{entry.folder.name}" if entry.content != "hashes of files" else "contents"
        state = f"{entry.content}, in use" if entry.in_use else entry.content
        CONSOLE.print(f"{format_size(entry.size):>10}  {age:>8}  {escape(state)}: {escape(name)}")
    total = format_size(folder_bytes([entry.folder for entry in entries]))
    CONSOLE.print(f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}, {total}")


def days(used: float) -> str:
    return f"{(time.time() - used) / DAY:.0f} days"


def remove(entries: Iterable[Entry]) -> None:
    """Remove entries that no process uses, and print how much space that frees."""
    freed = 0
    for entry in entries:
        size = entry.size
        with locked(entry.folder) as is_free:
            if not is_free:
                CONSOLE.print(f"kept, in use: {escape(str(entry.folder))}")
                continue
            # Renamed first, so that no process finds half of it.
            gone = entry.folder.with_name(f".unfinished-{uuid4().hex}")
            try:
                entry.folder.rename(gone)
                shutil.rmtree(gone)
            except OSError as error:
                CONSOLE.print(f"kept: {escape(str(entry.folder))}: {error.strerror}")
            else:
                freed += size
    CONSOLE.print(f"{format_size(freed)} freed")
