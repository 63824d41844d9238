"""Files of the benchmarks: tables, and a description of the machine, in outputs/benchmarks."""

import csv
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

FOLDER = Path("outputs") / "benchmarks"


def write_table(name: str, rows: list[dict[str, Any]]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_machine(name: str, seconds: float) -> None:
    """Write what a benchmark ran on, and how long it took."""
    (FOLDER / f"{name}.json").write_text(json.dumps(describe_machine(seconds), indent=1))


def describe_machine(seconds: float) -> dict[str, Any]:
    """Return the hardware, its load, and the versions of packages."""
    packages = ("numba", "numpy", "pytorch-lightning", "scikit-surprise", "torch")
    return {
        "cores": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_per_core": psutil.getloadavg()[1] / (psutil.cpu_count() or 1),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "processor": processor_name(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "bench_seconds": round(seconds),
    }


def processor_name() -> str:
    """Return the name of the processor; on Linux, where `platform.processor` often has none, that of /proc/cpuinfo."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
