"""Downloads of published dumps into the folders of their datasets, with a note of source and licence.

Files are written to a folder beside the dataset's, unpacked there, and moved when everything is complete.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from anirec.atomic import write_text
from anirec.data.acquire.hosts import Fetched, check_address, fetch
from anirec.data.acquire.retrieval import Step
from anirec.data.acquire.unpack import unpack
from anirec.data.sources.base import Need, is_inside
from anirec.errors import UserError
from anirec.progress import StatusLine

NOTE = "SOURCE.md"


def download(origin: str, folder: Path, needs: Sequence[Need], *, force: bool) -> list[str]:
    """Download a dump into its folder.

    Args:
        origin: Address; see `anirec.data.acquire.hosts`.
        folder: Folder of the dataset.
        needs: Files that the dataset reads.
        force: Whether to replace files that are already there.

    Returns:
        Names of files that were there and were kept.

    Raises:
        UserError: The address cannot be downloaded, a package or credentials are missing, a checksum differs, an
            archive is refused, or the download lacks files. The dataset's folder is unchanged.
    """
    check_address(origin)
    beside = folder.parent / f".{folder.name}.download-{sha256(origin.encode()).hexdigest()[:8]}"
    beside.mkdir(parents=True, exist_ok=True)
    with StatusLine(f"get {folder.name}") as status, only_one(beside), removed_if_empty(beside):
        fetched = fetch(origin, beside, status.step)
        try:
            unpacked = beside / "unpacked"
            shutil.rmtree(unpacked, ignore_errors=True)
            unpack_all(fetched.folder, unpacked, status.step)
            root = find_root(unpacked, needs)
            status.step("moving the files")
            write_text(root / NOTE, describe(fetched))
            kept = move(root, folder, force=force)
        except UserError:
            shutil.rmtree(beside)  # the same files would be refused again
            raise
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}. The same command continues.") from None
        shutil.rmtree(beside)
    return kept


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a download.

    Raises:
        UserError: Another process downloads the same dataset.
    """
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{folder}: another process downloads this dataset.") from None
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder after the block if it has no file."""
    try:
        yield
    finally:
        if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder)


def unpack_all(folder: Path, target: Path, step: Step) -> None:
    """Unpack zip archives, and link or copy other files to `target`; links and files outside are refused."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not is_inside(folder, str(path.relative_to(folder))):
            raise UserError(f"{path.name}: refused, since it is a link.")
        if path.is_dir() or path.name.startswith("."):
            continue
        place = target / path.relative_to(folder)
        if path.suffix == ".zip":
            unpack(path, place.parent, step)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            step(f"copying {path.name}")
            shutil.copyfile(path, place)


def find_root(folder: Path, needs: Sequence[Need]) -> Path:
    """Return the folder in a download that has the dataset's files.

    Raises:
        UserError: No folder has them.
    """
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    root = max(folders, key=lambda one: sum(bool(need.find(one)) for need in needs))  # the outermost of equal ones
    found = [bool(need.find(root)) for need in needs]
    absent = [str(need) for need, is_there in zip(needs, found, strict=True) if not (is_there or need.optional)]
    if absent or not any(found):
        names = ", ".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())[:10])
        raise UserError(
            f"The download lacks {'; '.join(absent or map(str, needs))}. It has: {names[:400] or 'nothing'}."
        )
    return root


def move(root: Path, folder: Path, *, force: bool) -> list[str]:
    """Move the files to the dataset's folder, and return the names of those that were there and were kept."""
    if not folder.exists():
        root.rename(folder)
        return []
    kept = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root)
        if (folder / name).exists() and not force and name.name != NOTE:
            kept.append(str(name))
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / name)
    return kept


def describe(fetched: Fetched) -> str:
    """Return the text of SOURCE.md."""
    facts = {
        "Title": fetched.title,
        "Address": fetched.address,
        "Licence": fetched.licence,
        "Fetched": f"{datetime.now(UTC):%Y-%m-%d} by anirec {version('anirec')}",
    }
    lines = [f"- {name}: {one_line(text)}" for name, text in facts.items() if text]
    files = [f"- {name}, {checksum}" for name, checksum in fetched.checksums.items()]
    host = urlsplit(fetched.address).hostname
    checked = ["", "Files whose checksums were compared:", "", *files] if files else []
    return "\n".join([f"# Files from {host}", "", *lines, *checked, ""])


def one_line(text: str) -> str:
    """Return a host's text on one line, without control characters, and not too long."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200].strip()
