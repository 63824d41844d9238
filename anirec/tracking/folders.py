"""Run folders: creation, status, locks, links into the folder of a sweep, and search for earlier runs.

Imports neither torch nor Lightning, so that commands that only read runs start fast.
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anirec.atomic import write_text
from anirec.errors import UserError

FILE = "status.json"
BEAT = 5  # seconds between two heartbeats; a kill loses so many of the run's seconds at most
LEASE = 120  # seconds without a heartbeat after which a run on another machine counts as killed
KILLED = "Killed. resume=true continues from the last checkpoint."
HELD: dict[Path, FileLock] = {}  # the locks of this process


class Heartbeat:
    """Hold the lock of a run folder and renew the heartbeat in `status.json`, until `end` is called.

    Args:
        folder: Run folder. A resumed run adds its seconds to those in `status.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.earlier = number_in(read_status(folder), "seconds")
        self.started = time.perf_counter()
        self.over = threading.Event()
        claim(folder)
        self.write("running")
        self.thread = threading.Thread(target=self.beat, daemon=True)
        self.thread.start()

    def end(self, state: str, error: str | None = None) -> None:
        """Write how the run ended, and release the lock."""
        self.over.set()
        self.thread.join()
        self.write(state, error)
        release(self.folder)

    def beat(self) -> None:
        """Write the status every `BEAT` seconds; the loop of the thread."""
        while not self.over.wait(BEAT):
            with suppress(OSError):  # the disk may be full for a while
                self.write("running")

    def write(self, state: str, error: str | None = None) -> None:
        write_status(self.folder, state, error, seconds=self.seconds)

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far, including before it was resumed."""
        return round(self.earlier + time.perf_counter() - self.started, 3)


def write_status(folder: Path, state: str, error: str | None = None, *, seconds: float) -> None:
    process = {"pid": os.getpid(), "host": platform.node(), "machine": machine_id(), "heartbeat": round(time.time(), 3)}
    content = {"state": state, "error": error, **process, "seconds": seconds}
    write_text(folder / FILE, json.dumps(content, indent=2) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """Return the content of `status.json`; empty if it is missing or damaged."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # ValueError: damaged
        return {}
    return content if isinstance(content, dict) else {}


def number_in(status: dict[str, Any], key: str) -> float:
    """Return a finite number of a status; 0 if it is missing or damaged."""
    value = status.get(key)
    return float(value) if isinstance(value, int | float) and isfinite(value) else 0.0


def status_of(folder: Path) -> dict[str, Any]:
    """Return the status of a run: as written, or `killed` if its process is gone or it never started."""
    status = read_status(folder)
    if "state" not in status:
        return {**status, "state": "killed", "error": "Killed before it started."}
    if status["state"] == "running" and not is_alive(folder, status):
        return {**status, "state": "killed", "error": KILLED}
    return status


def is_alive(folder: Path, status: dict[str, Any]) -> bool:
    """Whether the process that wrote this status is still running."""
    has_lease = abs(time.time() - number_in(status, "heartbeat")) < LEASE
    if status.get("machine") != machine_id():
        return has_lease
    try:
        if acquire(folder):
            release(folder)
            return False
        return True
    except OSError:  # a file system without locks
        return has_lease


def acquire(folder: Path) -> bool:
    """Take the lock of a run folder, until `release` or the end of this process.

    Returns:
        False if any process, this one included, already holds the lock.
    """
    path = folder.resolve()
    if path in HELD:
        return False
    lock = FileLock(path / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return False
    HELD[path] = lock
    return True


def claim(folder: Path) -> bool:
    """Take the lock if the file system supports locks. Return False if a process holds it already."""
    try:
        return acquire(folder)
    except OSError:
        return True


def release(folder: Path) -> None:
    """Release the lock of a run folder, if this process holds it."""
    lock = HELD.pop(folder.resolve(), None)
    if lock:
        lock.release()


@lru_cache(maxsize=1)
def machine_id() -> str:
    """Return an id of this machine since its last boot; a host name could be shared by containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{uuid.getnode():x}"


def folder_bytes(folders: Iterable[Path]) -> int:
    """Return the bytes of all files below folders; hard links to one file count once, and links are not followed."""
    return file_bytes(Path(path) / name for folder in folders for path, _, files in os.walk(folder) for name in files)


def file_bytes(files: Iterable[Path]) -> int:
    """Return the bytes of files; hard links to one file count once, and links are not followed."""
    statuses = [file.lstat() for file in files]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in statuses}.values())


class Pruned(Exception):  # noqa: N818 (not an error)
    """A search ends a run early that is worse than the median of earlier trials."""


def new_folder(parent: Path, run: str) -> Path:
    """Create and return `parent/<date>_<time>_<run>`, with a number appended if that exists."""
    stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{run}"
    for attempt in range(10_000):
        path = parent / (f"{stem}_{attempt}" if attempt else stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{parent}: 10,000 runs of this config were started within this second")


def link_into_sweep(path: Path, sweep: Path, number: int) -> None:
    """Link a run into the folder of its sweep, as `0007` for job 7."""
    sweep.mkdir(parents=True, exist_ok=True)
    link = sweep / f"{number:04d}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(path, sweep.resolve()), target_is_directory=True)


def find_finished(parent: Path, run: str, *, tested: bool, since_unfinished: bool = False) -> Path | None:
    """Return the latest finished folder of a run, or None.

    Args:
        parent: Folder of the runs of its dataset and model.
        run: Id of the run; see `anirec.config.identity`.
        tested: Whether it must have test metrics.
        since_unfinished: Whether to ignore the folders before the latest one that can be resumed.
    """
    paths: Iterable[Path] = sorted(parent.glob(f"*_{run}*"), reverse=True)
    if since_unfinished:
        paths = takewhile(lambda path: not can_resume(path), paths)
    return next((path for path in paths if is_finished(path, tested=tested)), None)


def is_finished(path: Path, *, tested: bool) -> bool:
    """Whether a run has finished and, if `tested`, has test metrics."""
    if status_of(path)["state"] != "finished":
        return False
    return not tested or any(name.startswith("test/") for name in json.loads((path / "metrics.json").read_text()))


def find_unfinished(parent: Path, run: str) -> Path | None:
    """Return the latest folder from which a run can be resumed, or None: unfinished, not running, with a checkpoint.

    The lock of the folder is taken: of several processes that call this at once, only one gets the folder.
    """
    for path in sorted(parent.glob(f"*_{run}*"), reverse=True):
        if can_resume(path) and claim(path):
            if read_status(path).get("state") != "finished":  # another process may have finished it meanwhile
                return path
            release(path)
    return None


def can_resume(path: Path) -> bool:
    """Whether a run has a checkpoint, has not finished and is not running."""
    has_checkpoint = (path / "checkpoints" / "last.ckpt").exists()
    return has_checkpoint and status_of(path)["state"] not in ("finished", "running")
