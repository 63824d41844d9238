"""The run folder: config, provenance, status and results of a run, in files that any tool can read.

`config.yaml`, `provenance.json`, `status.json`, `metrics.json`, `history.csv`, `predictions.parquet`,
`recommendations.parquet`, `items.parquet`, `findings.txt`, `figures/*.png`, `checkpoints/{last,best}.ckpt`. A file
that a run does not produce is absent. The columns of the tables: `anirec.evaluation.results`.
"""

import json
import platform
import subprocess
import traceback
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import psutil
import torch

from anirec.atomic import replacing, write_text
from anirec.errors import UserError
from anirec.lightning import rank_zero_only
from anirec.printable import clean
from anirec.tracking.folders import Heartbeat, Pruned
from anirec.tracking.parquet import write_parquet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGES = (
    *("anirec", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "numba", "scipy", "polars"),
    *("scikit-learn", "scikit-surprise", "transformers", "timm", "wandb"),
)


def git_state() -> dict[str, Any] | None:
    """Return the commit of anirec's checkout, and whether it has uncommitted changes; None if installed."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        # Fails for a virtual environment inside some other repository, which is not a checkout of anirec.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed ones of `PACKAGES`."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device_info() -> dict[str, Any]:
    """Return processor architecture, cores, threads of PyTorch, and names of the GPUs."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "processor": platform.machine(),
        "cores": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


DPI = 300  # a figure of one column, 3.4 inches, has about 1,000 pixels


class PeakMemory:
    """Peak resident memory of this process since the object was created.

    Where the peak cannot be reset (any system but Linux), the current memory is used instead.
    """

    def __init__(self) -> None:
        self.can_reset = True
        try:
            # Reset the peak, so that a run of a multirun does not inherit that of an earlier run.
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self.can_reset = False

    def peak_mb(self) -> float:
        """Return the peak in MiB."""
        if self.can_reset:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) / 1024, 1)
        return round(psutil.Process().memory_info().rss / 2**20, 1)


class RunFolder:
    """The folder of a run: a context manager that writes its files and records how the run ended.

    Args:
        path: The folder; see `new_folder`.
        config: Resolved config as YAML.
        about: Provenance that is known before the run starts: dataset, model, seed, sweep, overrides, identity.
    """

    def __init__(self, path: Path, *, config: str, about: dict[str, Any]) -> None:
        self.path = path
        self.provenance: dict[str, Any] = {
            **about,
            "git": git_state(),
            "versions": package_versions(),
            "device": device_info(),
        }
        self.config = config
        self.findings: list[str] = []
        self.metrics: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.memory = PeakMemory()
        self.heartbeat = Heartbeat(self.path) if getattr(rank_zero_only, "rank", 0) == 0 else None
        self.write("config.yaml", self.config)
        self.write_json("provenance.json", self.provenance)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.heartbeat:
            self.provenance["wall_seconds"] = self.heartbeat.seconds
        self.provenance["peak_memory_mb"] = self.memory.peak_mb()
        self.write_json("provenance.json", self.provenance)
        if error is None:
            self.end("finished")
        elif isinstance(error, Pruned):
            self.end("pruned", str(error))
        elif isinstance(error, KeyboardInterrupt | SystemExit) or isinstance(error.__context__, KeyboardInterrupt):
            self.end("interrupted", "Interrupted. resume=true continues from the last checkpoint.")
        else:
            self.write("error.txt", "".join(traceback.format_exception(error)))
            self.end("failed", f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error))

    def end(self, state: str, error: str | None = None) -> None:
        """Record the end of the run: `finished`, `failed`, `interrupted` or `pruned`."""
        if self.heartbeat:
            self.heartbeat.end(state, error)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write(name, json.dumps(content, indent=2, default=str) + "\n")

    @rank_zero_only
    def write(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    @rank_zero_only
    def write_table(self, name: str, table: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Write `<name>.parquet`, one row group for each part of the table."""
        write_parquet(self.path / f"{name}.parquet", [table] if isinstance(table, pl.DataFrame) else table)

    @rank_zero_only
    def write_findings(self, findings: list[str]) -> None:
        """Write `findings.txt`: sentences that interpret the metrics."""
        self.findings = findings
        if findings:
            self.write("findings.txt", clean("\n".join(findings)) + "\n")

    def write_figure(self, name: str, figure: "Figure") -> Path:
        """Write `figures/<name>.png` with the model and the dataset in its title, and return its path."""
        from anirec.figures.style import name_origin

        path = self.path / "figures" / f"{name}.png"
        name_origin(figure, f"{self.provenance['model']} on {self.provenance['dataset']}")
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
        return path

    @rank_zero_only
    def keep_checkpoints(self, which: str) -> None:
        """Remove the checkpoints of a finished run that are not to be kept.

        Args:
            which: all; best: only the best, or the last if there is no best; none.
        """
        kept = {"all": {self.last, self.best}, "best": {self.best}, "none": set()}[which]
        for path in (self.path / "checkpoints").glob("*.ckpt"):
            if path not in kept:
                path.unlink()

    @property
    def last(self) -> Path:
        """Path of the last checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """Path of the best checkpoint by the objective; of the last one if there is no best."""
        best = self.path / "checkpoints" / "best.ckpt"
        return best if best.exists() else self.last
