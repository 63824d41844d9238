"""The folder of the cache: whether its disk has room for prepared tables, who may use them, and errors of both."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anirec.data.sources.base import Source
from anirec.errors import UserError
from anirec.memory import format_size

# Bytes in the cache while a dump is prepared, for each byte of its files: measured 0.12 to 0.36.
SHARE = 0.4
FULL = {errno.ENOSPC, errno.EDQUOT}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
GROUP = 0o070


def check_space(source: Source, cache: Path) -> None:
    """Raise a UserError if the disk of the cache is too small for the tables of a dump."""
    needed = SHARE * sum(path.stat().st_size for path in source.files())
    existing = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"The tables of {source.name} need about {format_size(needed)} in {cache}, {format_size(free)} are free: "
            "free space there, for example with anirec data clean, or set ANIREC_CACHE to a folder on another disk."
        )


@contextmanager
def explained(cache: Path) -> Iterator[None]:
    """Turn the errors of a full disk, and of a cache without permission, into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        # Polars reports the errors of files as its own.
        if code in FULL or any(f"(os error {number})" in str(error) for number in FULL):
            raise UserError(
                f"The disk of the cache {cache} is full; unfinished tables were removed. Free space there, for example "
                "with anirec data clean, or set ANIREC_CACHE to a folder on another disk."
            ) from error
        if isinstance(error, OSError) and code in REFUSED and is_below(error.filename, cache):
            raise UserError(
                f"The cache {cache} cannot be used: {error.filename}: {error.strerror}. Set ANIREC_CACHE to a folder "
                "that you can write to."
            ) from error
        raise


def is_below(path: str | Path | None, folder: Path) -> bool:
    """Return whether a path is that of a folder, above it, or below it."""
    if path is None:
        return False
    path, folder = Path(path).absolute(), folder.absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def share(path: Path, cache: Path) -> None:
    """Give the group of the cache folder the same rights to a file or folder, and to all files below, as to the cache.

    Other permissions are those of the process (`umask`).
    """
    with suppress(OSError):  # not the owner, or a file system without permissions
        rights = cache.stat().st_mode & GROUP
        for entry in (path, *path.rglob("*")) if path.is_dir() else (path,):
            of_entry = rights if entry.is_dir() else rights & 0o060
            entry.chmod(entry.stat().st_mode & 0o7777 & ~GROUP | of_entry)


def make_shared(folder: Path, cache: Path) -> None:
    """Create a folder below the cache if it is missing, with the rights of the cache folder's group."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        share(folder, cache)
