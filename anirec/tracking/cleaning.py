"""`anirec clean`: remove runs that failed and cannot be resumed, and runs that a later equal one supersedes."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from anirec.errors import UserError
from anirec.memory import format_size
from anirec.tracking.console import CONSOLE, relative_path
from anirec.tracking.folders import (
    can_resume,
    folder_bytes,
    is_finished,
    number_in,
    read_status,
    status_of,
)

FILES = ("status.json", "config.yaml", "provenance.json")  # of every run folder
CHOSEN = ("selection.json", "best.json")  # files of sweeps that name runs, which are kept
NOT_NEEDED = {".lock", "error.txt"}  # files that a later run need not have to supersede an earlier one
ENDED_EARLY = ("failed", "killed", "interrupted")
STATES = ("running", "finished", "pruned", *ENDED_EARLY)


@dataclass(frozen=True)
class Removal:
    """A run to remove.

    Attributes:
        folder: Its folder.
        reason: Why it is not needed.
        successor: The later run that replaces it in sweeps, if there is one.
    """

    folder: Path
    reason: str
    successor: Path | None


def find_removals(root: Path) -> list[Removal]:
    """Return the runs below a folder that can be removed; links are not followed.

    A run can be removed if it failed, was killed or interrupted, and has neither metrics nor a checkpoint to resume
    from; or if a later run supersedes it. Runs that a sweep or search has chosen are kept.

    Raises:
        UserError: A file that names chosen runs is damaged.
    """
    found = [folder for folder in run_folders(root) if has_status(folder)]
    chosen = find_chosen(reference_folders(root, found))
    same: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder in found:
        same[folder.parent, identity_of_run(folder)].append(folder)
    removals = []
    for (_, identity), runs in same.items():
        for place, folder in enumerate(runs):
            state = status_of(folder)["state"]
            if folder in chosen or state == "running":
                continue
            later = [run for run in runs[place + 1 :] if identity and supersedes(run, folder)]
            if later:
                removals.append(Removal(folder, f"{state}, superseded", later[-1]))
            elif state in ENDED_EARLY and not can_resume(folder) and not (folder / "metrics.json").exists():
                removals.append(Removal(folder, f"{state}, cannot be resumed", None))
    return removals


def has_status(folder: Path) -> bool:
    """Whether the status of a run can be read, and has a known state and a heartbeat."""
    status = read_status(folder)
    return status.get("state") in STATES and number_in(status, "heartbeat") > 0


def reference_folders(root: Path, runs: Iterable[Path]) -> set[Path]:
    """Return the folders in which sweeps may refer to runs: `root`, and OUTPUTS of each OUTPUTS/DATASET/MODEL/RUN."""
    return {root.resolve(), *(list(run.parents)[:3][-1] for run in runs)}


def find_chosen(folders: Iterable[Path]) -> set[Path]:
    """Return the runs that sweeps and searches in these folders have chosen."""
    walks = (walk for folder in folders for walk in os.walk(folder))
    files = {Path(path) / name for path, _, names in walks for name in CHOSEN if name in names}
    return {run for file in sorted(files) for run in named_runs(file)}


def run_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders at or below a folder, oldest first among those of a model; links are not followed."""
    for path, folders, files in os.walk(root.resolve()):
        folders.sort()
        if set(FILES) <= set(files):
            folders.clear()
            yield Path(path)


def identity_of_run(folder: Path) -> str:
    """Return the id of the run; empty if its provenance is damaged or older than ids."""
    try:
        run = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["identity"]["run"]
    except (ValueError, KeyError, TypeError):
        return ""
    return run if isinstance(run, str) else ""


def supersedes(later: Path, earlier: Path) -> bool:
    """Whether a later run of the same identity has finished and has all that the earlier one has.

    It must have test metrics if the earlier one has them, and every file name: checkpoints, exported histories, files
    that were added by hand.
    """
    try:
        tested, later_tested = (is_finished(run, tested=True) for run in (earlier, later))
    except (OSError, ValueError, TypeError, AttributeError):  # metrics.json is damaged
        return False
    return is_finished(later, tested=False) and later_tested >= tested and file_names(earlier) <= file_names(later)


def file_names(run: Path) -> set[str]:
    """Return the relative paths of the files and links of a run, except those that are not needed."""
    paths = (path for path in run.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(run).as_posix() for path in paths} - NOT_NEEDED


def named_runs(file: Path) -> list[Path]:
    """Return the runs that a file of a sweep names by their relative paths."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [(file.parent / text).resolve() for text in all_texts(content)]
    except (OSError, ValueError, RecursionError) as error:  # a null byte in a path is a ValueError
        raise UserError(
            f"{file}: damaged ({error}), so the runs that it names are not known and nothing was removed. "
            "Repair it, or move it out of the folder."
        ) from None


def all_texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from all_texts(part)


def show_unreadable(root: Path) -> None:
    """Print which runs below a folder are left alone because their status is damaged or unknown."""
    names = [relative_path(folder) for folder in run_folders(root) if not has_status(folder)]
    if names:
        CONSOLE.print(f"left alone, status unreadable: {escape(', '.join(names))}")


def show_removals(removals: Sequence[Removal]) -> None:
    """Print what would be removed, with sizes."""
    for removal in removals:
        size = format_size(folder_bytes([removal.folder]))
        CONSOLE.print(f"{size:>8}  {removal.reason:<30} {escape(relative_path(removal.folder))}")
    total = format_size(folder_bytes([removal.folder for removal in removals]))
    CONSOLE.print(f"{len(removals)} run{'s' * (len(removals) != 1)}, {total}")


def remove(root: Path, removals: Sequence[Removal]) -> None:
    """Remove runs. Links to them, also those in sweeps outside `root`, are set to the later run, or removed."""
    gone = {removal.folder: removal.successor for removal in removals}
    for link in sorted({link for folder in reference_folders(root, gone) for link in links_below(folder)}):
        target = link.resolve()
        if target not in gone:
            continue
        link.unlink()
        if successor := gone[target]:
            link.symlink_to(os.path.relpath(successor, link.parent.resolve()), target_is_directory=True)
            CONSOLE.print(f"{escape(relative_path(link))} now leads to {escape(relative_path(successor))}")
        else:
            CONSOLE.print(f"{escape(relative_path(link))} removed")
    for folder in gone:
        shutil.rmtree(folder)


def links_below(root: Path) -> list[Path]:
    """Return the links to folders below a folder; links are not followed."""
    return [
        link
        for path, folders, _ in os.walk(root.resolve())
        for name in folders
        if (link := Path(path) / name).is_symlink()
    ]
