"""Runs, read from their folders.

A run folder contains `status.json` and, depending on its progress, `config.yaml`, `provenance.json`, `metrics.json`,
`predictions.parquet` and `recommendations.parquet`.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from anirec.errors import UserError
from anirec.report.formatting import brief
from anirec.report.run_files import (
    KNOWN_AT_START,
    NEEDED,
    RUN_FILES,
    DamagedError,
    nested,
    read_mapping,
    read_metrics,
    read_provenance,
    read_run_config,
)

PROVENANCE = "provenance.json"
PROCESS = ("host", "machine", "pid")  # of status.json
MARKS = ("status.json", PROVENANCE)
# Columns of the tables that the reports use.
COLUMNS = {
    "predictions": {"target": "a number", "prediction": "a number"},
    "recommendations": {
        "user_id": "an id",
        "rank": "a whole number",
        "relevant": "true or false",
        "n_relevant": "a whole number",
    },
}
OPTIONAL = {"user_id": "an id", "item_id": "an id", "cluster": "an id", "span": "a number"}
IS_KIND: dict[str, Callable[[pl.DataType], bool]] = {
    "a number": lambda dtype: dtype.is_numeric(),
    "a whole number": lambda dtype: dtype.is_integer(),
    "true or false": lambda dtype: dtype == pl.Boolean,
    "an id": lambda dtype: dtype.is_integer() or dtype == pl.String,
}


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: Its resolved folder.
        state: `finished`, `failed`, `running`, `interrupted`, `pruned` or `unreadable`.
        error: Why it is not in a table; empty for a finished run.
        config: The resolved configuration; empty if a run that has not finished lacks it.
        provenance: Dataset, model, seed, split and costs; for a run that has not finished only what was known at its
            start, or nothing.
        metrics: Metric names to values.
        process: Sweep, machine and process id; empty if not recorded.
        is_first: Whether it is the first run of its process among those that were read, so that its time includes
            loading libraries.
    """

    folder: Path
    state: str
    error: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    process: str = ""
    is_first: bool = False

    @property
    def model(self) -> str:
        return str(self.provenance["model"])

    @property
    def dataset(self) -> str:
        return str(self.provenance["dataset"])

    @property
    def split(self) -> dict[str, Any]:
        return self.provenance["split"]

    @property
    def split_name(self) -> str:
        """Name on the command line; if not recorded, derived from the class: KFold is k_fold."""
        class_name = str(nested(self.config, "split._target_")).rpartition(".")[2]
        return self.split.get("name") or re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=^[A-Z])(?=[A-Z])", "_", class_name).lower()

    @property
    def experiment(self) -> str:
        """Identity shared by runs that differ only in seed and fold; see `anirec.config.identity`."""
        return str(self.provenance["identity"]["experiment"])

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that determine the results, by dotted key, without seed and fold."""
        return self.provenance["identity"]["settings"]

    @property
    def replicate(self) -> tuple[tuple[str, Any], ...]:
        """Seeds and fold, which distinguish the members of a group."""
        return tuple(sorted(self.provenance["identity"]["replicate"].items()))

    @property
    def split_replicate(self) -> str:
        """Seed and fold of the split, such as `42` or `fold=0 seed=42`; empty if it has neither."""
        values = {key.removeprefix("split."): brief(value) for key, value in self.replicate if key.startswith("split.")}
        return "".join(values.values()) if len(values) == 1 else " ".join(f"{k}={v}" for k, v in values.items())

    def table(self, name: str, split: str) -> pl.DataFrame | None:
        """Return the rows of `predictions` or `recommendations` of a split; None if there are none.

        Raises:
            UserError: If the file is damaged or a column is missing or has the wrong type.
        """
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            return None
        try:
            rows = (
                pl.scan_parquet(path, glob=False).filter(pl.col("split") == split).drop("title", strict=False).collect()
            )
            wrong = "; ".join(wrong_columns(name, rows))
        except pl.exceptions.PolarsError as error:
            wrong = next(iter(str(error).splitlines()), type(error).__name__)
        if wrong:
            raise UserError(f"{path}: damaged ({wrong}). Repeat the run, or move its folder elsewhere.")
        return rows if len(rows) else None


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Return all runs in or below the paths, each resolved folder once, sorted by folder within each path.

    Raises:
        UserError: If paths do not exist, naming all of them, or if no run was found.
    """
    roots = [Path(path) for path in paths]
    if missing := [str(root) for root in roots if not root.exists()]:
        raise UserError(f"No such folder: {', '.join(missing)}")
    folders = dict.fromkeys(folder for root in roots for folder in sorted(run_folders(root)))
    if not folders:
        where = ", ".join(map(str, roots))
        raise UserError(f"No run in {where}: expected folders with {RUN_FILES}, as written by `anirec run`.")
    return mark_first_runs([read_run(folder) for folder in folders])


def mark_first_runs(runs: list[Run]) -> list[Run]:
    """Mark the first run of each process; folder names begin with the time of the run."""
    first = {run.process: run.folder for run in sorted(runs, key=lambda run: run.folder.name, reverse=True)}
    return [replace(run, is_first=bool(run.process) and first[run.process] == run.folder) for run in runs]


def run_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders in or below `root`, resolved; symbolic links are followed once, cycles included."""
    visited = set()
    for name, below, files in os.walk(root.resolve(), followlinks=True):
        folder = Path(name).resolve()
        is_run = any(mark in files for mark in MARKS)
        if is_run and folder not in visited:
            yield folder
        if is_run or folder in visited:
            below.clear()
        visited.add(folder)
        below[:] = [child for child in below if not child.startswith(".")]


def read_run(folder: Path) -> Run:
    """Read a run in any state."""
    try:
        status = read_mapping(folder / "status.json")
        state = status.get("state")
        if not isinstance(state, str) or not state.isalpha():
            return Run(folder, "unreadable", "status.json is damaged: expected a state")
        if state not in {"finished", "pruned"}:
            about = (readable(read_run_config, folder / "config.yaml"), readable(read_provenance, folder / PROVENANCE))
            return Run(folder, state, reason(status), *about)
        config = read_run_config(folder / "config.yaml")
        provenance = read_provenance(folder / PROVENANCE)
        metrics = read_metrics(folder / "metrics.json") if state == "finished" else {}
    except DamagedError as error:
        return Run(folder, "unreadable", str(error))
    needed = NEEDED if state == "finished" else KNOWN_AT_START
    if lacking := [key for key in needed if nested(provenance, key) is None]:
        return Run(
            folder,
            "unreadable",
            f"provenance.json lacks {', '.join(lacking)}: was it written by an older version of anirec?",
        )
    process = (
        " ".join(f"{one}" for one in (provenance.get("sweep"), *map(status.get, PROCESS))) if "pid" in status else ""
    )
    return Run(folder, state, "" if state == "finished" else reason(status), config, provenance, metrics, process)


def readable(read: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """Return the content of a file of a run that has not finished; empty if it is missing or damaged."""
    try:
        return read(path)
    except DamagedError:
        return {}


def reason(status: dict[str, Any]) -> str:
    """Return in one line why a run has not finished.

    >>> reason({"state": "failed", "error": " \\nValueError: lr=-1\\n  at line 3"}), reason({"state": "failed"})
    ('ValueError: lr=-1', 'no reason recorded')
    """
    lines = [line.strip() for line in str(status.get("error") or "").splitlines() if line.strip()]
    silent = "has not finished; still running, or killed" if status["state"] == "running" else "no reason recorded"
    return lines[0] if lines else silent


def wrong_columns(name: str, rows: pl.DataFrame) -> Iterator[str]:
    """Yield what is missing or has the wrong type in the rows of a table."""
    needed = COLUMNS.get(name, {})
    for column, kind in (OPTIONAL | needed).items():
        if column not in rows.columns:
            if column in needed:
                yield f"no column {column}: expected {kind}"
        elif not IS_KIND[kind](rows[column].dtype):
            yield f"{column} is {rows[column].dtype}: expected {kind}"
        elif kind in {"a whole number", "true or false"} and rows[column].null_count():
            yield f"{column} has nulls: expected {kind}"
        elif column == "rank" and (rows["rank"] < 1).any():
            yield "a rank below 1: expected 1 for the first of a list"
