"""Run folders, read back: nothing else is known about a run.

A run folder holds `status.json` and, in time, `config.yaml`, `provenance.json`, `metrics.json`, `predictions.parquet`
and `recommendations.parquet`.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from anirec.errors import UserError

MARKS = ("status.json", "provenance.json")
NEEDED = ("model", "dataset", "seed", "split.family")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: Where it lies, resolved.
        state: `finished`, `failed`, `running`, `interrupted`, `pruned` or `unreadable`.
        error: Why it is not in the table; empty for a finished run.
        config: The resolved configuration, of finished and pruned runs.
        provenance: Dataset, model, seed, split and costs; of a pruned run only what was known when it began.
        metrics: Names to values.
    """

    folder: Path
    state: str
    error: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

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
        """As chosen on the command line; provenance need not repeat what the class is called: KFold is k_fold."""
        class_name = str(nested(self.config, "split._target_")).rpartition(".")[2]
        return self.split.get("name") or re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=^[A-Z])(?=[A-Z])", "_", class_name).lower()

    @property
    def replicate(self) -> tuple[Any, Any]:
        """Seed and fold: what tells the members of a group apart."""
        return self.provenance["seed"], self.split.get("fold")

    def table(self, name: str, split: str) -> pl.DataFrame | None:
        """The rows of `predictions` or `recommendations` of that split; None if the run left none."""
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            return None
        try:
            rows = pl.scan_parquet(path).filter(pl.col("split") == split).drop("title", strict=False).collect()
        except pl.exceptions.PolarsError as error:
            raise UserError(
                f"{path}: damaged ({str(error).splitlines()[0]}). Make the run again, or move it away."
            ) from None
        return rows if len(rows) else None


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
    """All runs in or below the paths, each real folder once, in the order of their folders.

    Raises:
        UserError: Naming every path that does not exist, or if no run was found.
    """
    roots = [Path(path) for path in paths]
    if missing := [str(root) for root in roots if not root.exists()]:
        raise UserError(f"No such folder: {', '.join(missing)}")
    folders = dict.fromkeys(folder for root in roots for folder in sorted(run_folders(root)))
    if not folders:
        where = ", ".join(map(str, roots))
        raise UserError(f"No run in {where}: expected folders that hold a status.json, as `anirec run` leaves them.")
    return [read_run(folder) for folder in folders]


def run_folders(root: Path) -> Iterator[Path]:
    """Run folders in or below `root`, resolved; symbolic links are followed, circles too, once."""
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
    """Whatever state the run is in."""
    try:
        status = json.loads((folder / "status.json").read_text())
        if status["state"] not in ("finished", "pruned"):
            return Run(folder, status["state"], status.get("error") or "has not finished; still at work, or killed")
        config = yaml.load((folder / "config.yaml").read_text(), Loader=LOADER)  # noqa: S506  (a safe loader, either way)
        provenance = json.loads((folder / "provenance.json").read_text())
        if status["state"] == "pruned":
            return Run(folder, "pruned", status["error"], config, provenance)
        metrics = json.loads((folder / "metrics.json").read_text())
        check_metrics(metrics)
        if lacking := [key for key in NEEDED if nested(provenance, key) is None]:
            return Run(folder, "unreadable", f"provenance.json lacks {', '.join(lacking)}")
        return Run(folder, "finished", "", config, provenance, metrics)
    except FileNotFoundError as error:
        return Run(folder, "unreadable", f"{Path(error.filename).name} is missing")
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        return Run(folder, "unreadable", f"a file of this run is damaged: {type(error).__name__}: {error}")


def check_metrics(metrics: Any) -> None:
    """Raise ValueError unless these are names and finite numbers."""
    if not isinstance(metrics, dict) or not metrics:
        raise ValueError("metrics.json holds no metrics")
    if wrong := [name for name, value in metrics.items() if not isinstance(value, int | float) or not isfinite(value)]:
        raise ValueError(f"metrics.json: no finite number for {', '.join(wrong)}")


def nested(values: Any, key: str) -> Any:
    """The value of a dotted key; None without it."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
