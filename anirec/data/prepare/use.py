"""Locks on folders of the cache, so that none is removed while a process reads or writes it.

A process that uses a folder holds a shared lock on it until it ends; a process that writes one holds an exclusive lock.
The locks are those of `flock`, on the folder itself, so that a folder of another user can be locked, too.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HELD: dict[Path, int] = {}  # descriptors of the folders that this process uses, the first used first
MOST = 64  # folders held at once; more would take the descriptors that a process may open


def hold(folder: Path) -> bool:
    """Mark a folder as used until the process ends, and its time of last use as now; return whether it exists.

    Raises:
        PermissionError: The folder may not be read.
    """
    with suppress(OSError):  # a folder of another user
        os.utime(folder)
    if folder in HELD and is_at(HELD[folder], folder):
        return True
    release(folder)
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    HELD[folder] = descriptor
    if len(HELD) > MOST:
        release(next(iter(HELD)))
    if lock(descriptor, exclusive=False) and is_at(descriptor, folder):
        return True
    release(folder)
    return False  # it is being removed


def release(folder: Path) -> None:
    """Mark a folder as no longer used by this process."""
    if folder in HELD:
        os.close(HELD.pop(folder))


def lock(descriptor: int, *, exclusive: bool) -> bool:
    """Lock an open folder without waiting; return False if another process holds a lock that excludes this one.

    An exclusive lock is refused where the file system has no locks.
    """
    if sys.platform == "win32":
        return not exclusive
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return not exclusive
    return True


def is_at(descriptor: int, folder: Path) -> bool:
    """Return whether an open folder still has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder against use during the block; yield False if a process uses it, or if that is not known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield lock(descriptor, exclusive=True)
    finally:
        os.close(descriptor)
