"""Folders of runs: made, linked into their sweep, found again; and how the run in one of them fares.

Light: what only looks at runs need not wait for torch.
"""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from anirec.atomic import write_text
from anirec.errors import UserError


class Pruned(Exception):  # noqa: N818 (no error: a search has seen enough)
    """A search ends a run that does worse than others did by then."""


def new_folder(parent: Path, config_hash: str) -> Path:
    """`parent/<date>_<time>_<config hash>`, created now; a number is added where that exists already."""
    stem = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{config_hash}"
    for attempt in range(10_000):
        path = parent / (f"{stem}_{attempt}" if attempt else stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{parent}: ten thousand runs of this config began within this second")


def join(path: Path, sweep: Path, number: int) -> None:
    """Link the run into the folder of its sweep, so that the sweep can be compared as a whole."""
    sweep.mkdir(parents=True, exist_ok=True)
    link = sweep / f"{number:04d}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(path, sweep.resolve()), target_is_directory=True)


def status_of(path: Path) -> dict[str, Any]:
    """What the run says of itself; `killed` where it had not begun to, or its process is gone."""
    try:
        status: dict[str, Any] = json.loads((path / "status.json").read_text())
    except FileNotFoundError:
        return {"state": "killed", "error": "killed before it began"}
    if status["state"] == "running" and not is_alive(status):
        return {**status, "state": "killed", "error": "killed; resume=true goes on from the last checkpoint"}
    return status


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote this status is still at work; one on another host cannot be asked."""
    if status["host"] != platform.node():
        return True
    try:
        return abs(psutil.Process(status["pid"]).create_time() - status.get("began", 0)) < 1
    except psutil.Error:
        return False


def finished(parent: Path, config_hash: str) -> Path | None:
    """The latest finished run of this config, or None."""
    paths = sorted(parent.glob(f"*_{config_hash}*"), reverse=True)
    return next((path for path in paths if status_of(path)["state"] == "finished"), None)


def unfinished(parent: Path, config_hash: str) -> Path | None:
    """The latest folder of this config that has a checkpoint, did not finish, and is not at work; or None.

    It is this process's from now on: of several that ask at once, one gets it.
    """
    for path in sorted(parent.glob(f"*_{config_hash}*"), reverse=True):
        if (path / "checkpoints" / "last.ckpt").exists():
            with FileLock(path / ".lock"):  # across machines it is up to the disk: those of networks may not lock
                if status_of(path)["state"] not in ("finished", "running"):
                    write_status(path, "running")
                    return path
    return None


def write_status(path: Path, state: str, error: str | None = None) -> None:
    """The process tells a running run from a killed one: its id alone may be another's by now."""
    process = {"pid": os.getpid(), "began": psutil.Process().create_time(), "host": platform.node()}
    write_text(path / "status.json", json.dumps({"state": state, "error": error, **process}, indent=2) + "\n")
