"""Folders of runs: made, linked into their sweep, found again.

Light: what only looks at runs need not wait for torch.
"""

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anirec.atomic import write_text
from anirec.errors import UserError

FILE = "status.json"
BEAT = 30  # seconds between two heartbeats
LEASE = 4 * BEAT  # without a heartbeat for so long, a run on another machine counts as killed
KILLED = "Killed. resume=true continues from its last checkpoint."
HELD: dict[Path, FileLock] = {}  # the locks of this process


class Heartbeat:
    """The work of this process on a run: it holds the lock of the run's folder, and renews `status.json` until it ends.

    Args:
        folder: Of the run. A resumed run adds its seconds to those that `status.json` has.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.earlier = float(read_status(folder).get("seconds") or 0.0)
        self.started = time.perf_counter()
        self.over = threading.Event()
        claim(folder)
        self.write("running")
        self.thread = threading.Thread(target=self.beat, daemon=True)
        self.thread.start()

    def end(self, state: str, error: str | None = None) -> None:
        """Write how the run ended, and let go of its folder."""
        self.over.set()
        self.thread.join()
        self.write(state, error)
        release(self.folder)

    def beat(self) -> None:
        while not self.over.wait(BEAT):
            with suppress(OSError):  # a disk that is full for a while
                self.write("running")

    def write(self, state: str, error: str | None = None) -> None:
        write_status(self.folder, state, error, seconds=self.seconds)

    @property
    def seconds(self) -> float:
        """Spent on the run so far, earlier work included."""
        return round(self.earlier + time.perf_counter() - self.started, 3)


def write_status(folder: Path, state: str, error: str | None = None, *, seconds: float) -> None:
    process = {"pid": os.getpid(), "host": platform.node(), "machine": machine_id(), "heartbeat": round(time.time(), 3)}
    content = {"state": state, "error": error, **process, "seconds": seconds}
    write_text(folder / FILE, json.dumps(content, indent=2) + "\n")


def read_status(folder: Path) -> dict[str, Any]:
    """As written; empty where there is none."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # ValueError: a damaged file says as much as none
        return {}
    return content if isinstance(content, dict) else {}


def status_of(folder: Path) -> dict[str, Any]:
    """What the run says of itself; `killed` where its process is gone, or it never began."""
    status = read_status(folder)
    if "state" not in status:
        return {**status, "state": "killed", "error": "Killed before it began."}
    if status["state"] == "running" and not is_alive(folder, status):
        return {**status, "state": "killed", "error": KILLED}
    return status


def is_alive(folder: Path, status: dict[str, Any]) -> bool:
    """Whether the process that wrote this status is still at work."""
    has_lease = time.time() - float(status.get("heartbeat") or 0.0) < LEASE
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
    """Take the lock of a run's folder, until `release` or the end of this process; False if a process holds it.

    This process may hold it already: then False, too.
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
    """Take the lock where the file system has locks; False if another process holds it."""
    try:
        return acquire(folder)
    except OSError:
        return True


def release(folder: Path) -> None:
    lock = HELD.pop(folder.resolve(), None)
    if lock:
        lock.release()


@lru_cache(maxsize=1)
def machine_id() -> str:
    """This machine since it was started, whatever name a container gives it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{uuid.getnode():x}"


class Pruned(Exception):  # noqa: N818 (no error: a search has seen enough)
    """A search ends a run that does worse than others did by then."""


def new_folder(parent: Path, run: str) -> Path:
    """`parent/<date>_<time>_<run>`, created now; a number is added where that exists already."""
    stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{run}"
    for attempt in range(10_000):
        path = parent / (f"{stem}_{attempt}" if attempt else stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{parent}: ten thousand runs of this config began within this second")


def link_into_sweep(path: Path, sweep: Path, number: int) -> None:
    """Link the run into the folder of its sweep, so that the sweep can be compared as a whole."""
    sweep.mkdir(parents=True, exist_ok=True)
    link = sweep / f"{number:04d}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(path, sweep.resolve()), target_is_directory=True)


def find_finished(parent: Path, run: str, *, tested: bool) -> Path | None:
    """The latest finished folder of a run, or None.

    Args:
        parent: Where runs of its dataset and model lie.
        run: Its identity's; see `anirec.config.identity`.
        tested: Whether it must have met the test set.
    """
    paths = sorted(parent.glob(f"*_{run}*"), reverse=True)
    return next((path for path in paths if is_finished(path, tested=tested)), None)


def is_finished(path: Path, *, tested: bool) -> bool:
    if status_of(path)["state"] != "finished":
        return False
    return not tested or any(name.startswith("test/") for name in json.loads((path / "metrics.json").read_text()))


def find_unfinished(parent: Path, run: str) -> Path | None:
    """The latest folder of a run that has a checkpoint, did not finish, and is not at work; or None.

    Its lock is this process's from now on: of several that ask at once, one gets it.
    """
    for path in sorted(parent.glob(f"*_{run}*"), reverse=True):
        if (path / "checkpoints" / "last.ckpt").exists() and is_resumable(path) and claim(path):
            if read_status(path).get("state") != "finished":  # as another process may have done meanwhile
                return path
            release(path)
    return None


def is_resumable(path: Path) -> bool:
    """Whether the run can be resumed: it has not finished, and nobody is at work on it."""
    return status_of(path)["state"] not in ("finished", "running")
