"""`anirec clean`: remove runs that failed and cannot be resumed, and runs that a later equal one supersedes."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from anirec.tracking.console import CONSOLE, relative_path
from anirec.tracking.folders import can_resume, folder_bytes, format_size, is_finished, status_of

FILES = ("status.json", "config.yaml", "provenance.json")  # of every run folder
CHOSEN = ("selection.json", "best.json")  # files of sweeps that name runs, which are kept
KEPT = ("finished", "running", "pruned")


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

    A run can be removed if it did not finish and has no checkpoint to resume from, or if a later run of the same
    identity has finished. Runs that a sweep or search has chosen are kept.
    """
    found = list(run_folders(root))
    chosen = {path for name in CHOSEN for file in root.rglob(name) for path in named_runs(file)}
    same: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder in found:
        same[folder.parent, identity_of_run(folder)].append(folder)
    removals = []
    for (_, identity), runs in same.items():
        for place, folder in enumerate(runs):
            later = [run for run in runs[place + 1 :] if identity and supersedes(run, folder)]
            status = status_of(folder)
            if folder in chosen or status["state"] == "running":
                continue
            if later:
                removals.append(Removal(folder, f"{status['state']}, superseded", later[-1]))
            elif status["state"] not in KEPT and not can_resume(folder):
                removals.append(Removal(folder, f"{status['state']}, cannot be resumed", None))
    return removals


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
        return str(json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["identity"]["run"])
    except (ValueError, KeyError, TypeError):
        return ""


def supersedes(later: Path, earlier: Path) -> bool:
    """Whether a later run of the same identity has finished, with test metrics if the earlier one has them."""
    return is_finished(later, tested=is_finished(earlier, tested=True))


def named_runs(file: Path) -> Iterator[Path]:
    """Yield the runs that a file of a sweep names by their relative paths."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return
    for text in all_texts(content):
        yield (file.parent / text).resolve()


def all_texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from all_texts(part)


def show_removals(removals: Sequence[Removal]) -> None:
    """Print what would be removed, with sizes."""
    for removal in removals:
        size = format_size(folder_bytes([removal.folder]))
        CONSOLE.print(f"{size:>8}  {removal.reason:<30} {escape(relative_path(removal.folder))}")
    total = format_size(folder_bytes([removal.folder for removal in removals]))
    CONSOLE.print(f"{len(removals)} run{'s' * (len(removals) != 1)}, {total}")


def remove(root: Path, removals: Sequence[Removal]) -> None:
    """Remove runs. Links to them below `root` are set to the later run, or removed, and listed."""
    gone = {removal.folder: removal.successor for removal in removals}
    for link in links_below(root):
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
