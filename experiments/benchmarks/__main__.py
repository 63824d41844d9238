"""`make bench`: speed compared with Surprise, and growth of time and memory; also written to outputs/benchmarks."""

import csv
import json
import logging
import platform
import time
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table

from experiments.benchmarks import beside_surprise, growth

FOLDER = Path("outputs") / "benchmarks"


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    console, started = Console(), time.time()
    FOLDER.mkdir(parents=True, exist_ok=True)
    console.print(
        "Compilation time is excluded by a warm-up. anirec and Surprise run alternately in one process.", style="dim"
    )
    console.print(f"{processor_name()}, {psutil.cpu_count()} cores, {torch.get_num_threads()} threads", style="dim")
    compared = list(print_progress(console, beside_surprise.measurements()))
    write("beside_surprise", [{**row._asdict(), "ratio": row.ratio} for row in compared])
    console.print(comparison_table(compared))
    grown = list(print_progress(console, growth.measurements()))
    write("growth", [row._asdict() for row in grown])
    console.print(growth_table(grown))
    (FOLDER / "machine.json").write_text(json.dumps(describe_machine(time.time() - started), indent=1))
    console.print(f"Tables written to {FOLDER}", style="dim")


def print_progress(console: Console, rows: Iterable[Any]) -> Iterable[Any]:
    """Yield measurements, and print each as it is finished, since some of Surprise's take a minute."""
    for row in rows:
        console.print(f"  {row[0]}, {row[1]:,}: {row[2]:.3f} s", style="dim")
        yield row


def comparison_table(rows: list[beside_surprise.Comparison]) -> Table:
    table = Table("work", "rows", "anirec", "Surprise", "ratio", title="anirec and Surprise; ratio per row")
    for row in rows:
        theirs = (
            ""
            if row.theirs is None
            else f"{row.theirs:.2f} s" + (f" for {row.n_theirs:,}" if row.n_theirs != row.n else "")
        )
        table.add_row(row.what, f"{row.n:,}", f"{row.ours:.3f} s", theirs, f"{row.ratio:,.0f} x" if row.ratio else "")
    return table


def growth_table(rows: list[growth.Growth]) -> Table:
    table = Table(
        "model",
        "ratings",
        "seconds",
        "µs per rating",
        "MB",
        "bytes per rating",
        title="Growth of time and memory with the number of ratings",
    )
    for row in sorted(rows):
        values = (f"{row.seconds:.2f}", f"{row.seconds / row.n * 1e6:.3f}")
        table.add_row(row.model, f"{row.n:,}", *values, f"{row.megabytes:.0f}", f"{row.megabytes / row.n * 1e6:.0f}")
    return table


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with (FOLDER / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


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


if __name__ == "__main__":
    main()
