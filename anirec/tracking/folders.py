"""Folders of runs: made, linked into their sweep, found again.

Light: what only looks at runs need not wait for torch.
"""

import json
import os
import time
from pathlib import Path

from anirec.errors import UserError
from anirec.tracking.status import claim, read_status, release, status_of


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


def join(path: Path, sweep: Path, number: int) -> None:
    """Link the run into the folder of its sweep, so that the sweep can be compared as a whole."""
    sweep.mkdir(parents=True, exist_ok=True)
    link = sweep / f"{number:04d}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(path, sweep.resolve()), target_is_directory=True)


def finished(parent: Path, run: str, *, tested: bool) -> Path | None:
    """The latest finished folder of a run, or None.

    Args:
        parent: Where runs of its dataset and model lie.
        run: Its identity's; see `anirec.config.identity`.
        tested: Whether it must have met the test set.
    """
    paths = sorted(parent.glob(f"*_{run}*"), reverse=True)
    return next((path for path in paths if is_done(path, tested=tested)), None)


def is_done(path: Path, *, tested: bool) -> bool:
    if status_of(path)["state"] != "finished":
        return False
    return not tested or any(name.startswith("test/") for name in json.loads((path / "metrics.json").read_text()))


def unfinished(parent: Path, run: str) -> Path | None:
    """The latest folder of a run that has a checkpoint, did not finish, and is not at work; or None.

    Its lock is this process's from now on: of several that ask at once, one gets it.
    """
    for path in sorted(parent.glob(f"*_{run}*"), reverse=True):
        if (path / "checkpoints" / "last.ckpt").exists() and is_open(path) and claim(path):
            if read_status(path).get("state") != "finished":  # as another process may have done meanwhile
                return path
            release(path)
    return None


def is_open(path: Path) -> bool:
    """Whether the run can be resumed: it has not finished, and nobody is at work on it."""
    return status_of(path)["state"] not in ("finished", "running")
