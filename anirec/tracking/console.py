"""Terminal output of runs and sweeps."""

import json
import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from anirec.errors import UserError
from anirec.memory import format_size
from anirec.metrics.names import reachable
from anirec.notices import rank_zero_only
from anirec.printable import Console
from anirec.tracking.folders import file_bytes, folder_bytes, status_of

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)
LARGE = 50_000_000  # bytes of run folders that are worth a line
WORTHWHILE = 0.1  # share of them that an advice must save

# Warnings of Lightning that do not apply: batches are slices of arrays, and models that count need no optimiser.
NOISE = (
    "The '.*_dataloader' does not have many workers",
    "`LightningModule.configure_optimizers` returned `None`",
    "It is recommended to use `self.log",
    "The number of training batches .* is smaller than the logging interval",
    "`isinstance.treespec, LeafSpec.` is deprecated",
    "You defined a `validation_step` but have no `val_dataloader`",
    "Total length of .* across ranks is zero",
)


def silence_libraries() -> None:
    """Suppress log messages and warnings of Lightning that do not help a user."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for words in NOISE:
        warnings.filterwarnings("ignore", f".*{words}.*")


@rank_zero_only
def print_job(path: Path, label: str) -> None:
    """Print the line of a job: its label and its run folder."""
    CONSOLE.print(f"[bold]{escape(label)}[/] {escape(relative_path(path))}")


@rank_zero_only
def print_metrics(
    metrics: Mapping[str, float], *, objectives: Sequence[str], in_full: bool, findings: Sequence[str], split: str = ""
) -> None:
    """Print validation and test metrics side by side, or only the objectives in one line. Segments are left out.

    Args:
        metrics: All metrics of the run.
        objectives: Metrics of the line.
        in_full: True: a table and the findings; False: one line, for a job of a sweep.
        findings: Sentences that interpret the metrics.
        split: Name of the split, as in `last_k`, for best reachable values that depend on it.
    """
    if not in_full:
        shorts = [name.partition("/")[2] for name in objectives or ["test/rmse"]]
        both = [f"{split}/{short}" for short in shorts for split in ("val", "test")]
        CONSOLE.print("  " + "  ".join(f"{name} {metrics[name]:.4f}" for name in both if name in metrics))
        return
    table = Table("metric", "val", "test", box=None, pad_edge=False)
    names = dict.fromkeys(name.partition("/")[2] for name in metrics if name.count("/") == 1)
    for name in names:
        cells = [metrics.get(f"{split}/{name}") for split in ("val", "test")]
        if any(cell is not None for cell in cells):
            table.add_row(name, *("" if cell is None else f"{cell:.4f}".removesuffix(".0000") for cell in cells))
    CONSOLE.print(table)
    for name, value in reachable(metrics, split).items():
        CONSOLE.print(f"best reachable {name} on this data: {value:.4f}")
    for sentence in findings:
        CONSOLE.print(escape(sentence), soft_wrap=False)


def print_sweep(sweep: Path, *, n_jobs: int | None = None) -> int:
    """Print how the jobs of a sweep ended, and return the number of failed ones: neither finished nor pruned.

    Args:
        sweep: Folder of the sweep.
        n_jobs: Number of jobs in all; None: those that have started.
    """
    statuses = {path: status_of(path) for path in sorted(sweep.glob("[0-9]*"))}
    states = Counter(status["state"] for status in statuses.values())
    pruned = f", {states['pruned']} pruned" if states["pruned"] else ""
    CONSOLE.print(f"{states['finished']} of {n_jobs or len(statuses)} jobs finished{pruned}.", end=" ")
    CONSOLE.print(f"Compare them: [bold]anirec compare {escape(relative_path(sweep))}[/]")
    print_size(path.resolve() for path in statuses)
    failed = {path: status for path, status in statuses.items() if status["state"] not in ("finished", "pruned")}
    if failed:
        overrides = {path: read_overrides(path) for path in statuses}
        common = set.intersection(*map(set, overrides.values())) if len(statuses) > 1 else set()
        table = Table("job", "overrides", "error", box=None, pad_edge=False)
        for path, status in failed.items():
            own = " ".join(override for override in overrides[path] if override not in common)
            error = str(status["error"] or status["state"]).splitlines()[0]
            table.add_row(path.name, escape(own), escape(error))
        CONSOLE.print(table)
    return len(failed)


def print_size(folders: Iterable[Path]) -> None:
    """Print the size of run folders if it is large, and how to make it smaller."""
    folders = list(folders)
    if (total := folder_bytes(folders)) < LARGE:
        return
    checkpoints = folder_bytes(folder / "checkpoints" for folder in folders)
    # Of models with a single epoch, the best and the last checkpoint are hard links to one file.
    best = file_bytes(path for folder in folders if (path := folder / "checkpoints" / "best.ckpt").exists())
    advice = ""
    if best and checkpoints - best >= WORTHWHILE * total:
        advice = "; checkpoints=best keeps only the best"
    elif checkpoints >= WORTHWHILE * total:
        advice = "; checkpoints=none keeps only the results"
    CONSOLE.print(f"Size: {format_size(total)}, {format_size(checkpoints)} of it checkpoints{advice}")


def read_overrides(path: Path) -> list[str]:
    """Return the overrides of a run; empty if its folder has no provenance yet."""
    provenance = path / "provenance.json"
    return json.loads(provenance.read_text())["overrides"] if provenance.exists() else []


def print_failure(path: Path | None, error: Exception) -> None:
    """Print an error, and where its traceback is.

    Args:
        path: Run folder with `error.txt`; None if the run has no folder.
        error: A UserError is printed without its class and has no traceback.
    """
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    CONSOLE.print(f"[bold red]Failed:[/] {escape(message)}")
    if path and not isinstance(error, UserError):
        CONSOLE.print(f"Full error: {escape(relative_path(path / 'error.txt'))}")


def relative_path(path: Path) -> str:
    """Return a path relative to the current folder; absolute if it is outside."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
