"""Fit and recommend with anirec and with other libraries, on equal data, settings and threads.

    make peers
    python -m experiments.benchmarks.peers --python .peers/bin/python

Each measurement runs in a process of its own, one after the other. The other libraries may be in another environment,
whose interpreter is given. A table is printed and written to outputs/benchmarks/peers.csv.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.options import create_parser
from experiments.benchmarks.output import FOLDER, write_table
from experiments.benchmarks.ratings import SAME_SIZE, compose_config

ALGORITHMS = {
    "als": ("anirec", "implicit", "rectools", "lenskit"),
    "cosine": ("anirec", "implicit", "rectools", "lenskit"),
    "item-item": ("anirec", "lenskit", "surprise"),
    "ease": ("anirec", "rectools", "lenskit"),
    "svd": ("anirec", "lenskit", "surprise"),
    "bpr": ("implicit",),
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "LK_NUM_THREADS")
REQUIREMENTS = Path(__file__).with_name("peers.txt")
PROGRAM = Path(__file__).with_name("peer_process.py")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = create_parser(
        __doc__, epilog=f"Install the other libraries: PYTHON -m pip install -r {os.path.relpath(REQUIREMENTS)}"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter that has the other libraries; default: this one"
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help=f"of each library; default: all cores ({cores})")
    names = ", ".join(ALGORITHMS)
    parser.add_argument(
        "--only",
        nargs="*",
        default=list(ALGORITHMS),
        choices=ALGORITHMS,
        metavar="ALGORITHM",
        help=f"algorithms to measure; default: all of {names}",
    )
    chosen, console = parser.parse_args(arguments), Console()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        name = write_rows(Path(folder) / "rows.npz")
        rows = []
        for algorithm in chosen.only:
            for row in measure(algorithm, Path(folder) / "rows.npz", chosen.python, chosen.threads):
                console.print(
                    f"  {algorithm}, {row['library']}: {row.get('error') or format(row['fit'], '.2f') + ' s'}"
                )
                rows.append(row)
    measured = [row for row in rows if "error" not in row]
    if measured:
        write_table("peers", [{column: row.get(column) for column in COLUMNS} for row in measured])
        console.print(table(measured, f"{name}, {chosen.threads} threads; ratios to anirec"))
        console.print(f"Table written to {FOLDER / 'peers.csv'}", style="dim")
    lacking = [row for row in rows if "error" in row]
    for row in lacking:
        console.print(f"{row['library']} {row['algorithm']}: {row['error']}", markup=False)
    if any("No module" in row["error"] for row in lacking):
        console.print(f"Install the other libraries: {chosen.python} -m pip install -r {os.path.relpath(REQUIREMENTS)}")


COLUMNS = (
    *("algorithm", "library", "version", "fit", "fit_cpu", "recommend", "recommend_cpu", "megabytes", "hit_rate"),
    "fit_ratio",
)


def write_rows(path: Path) -> str:
    """Write the training and test rows of mal_2016, or of generated ratings of the same size; return their name."""
    real = "ANIREC_DATA" in os.environ
    dataset = ["mal_2016"] if real else ["demo_ratings", *(f"dataset.source.{size}" for size in SAME_SIZE)]
    config = compose_config(f"dataset={dataset[0]}", *dataset[1:], "split=per_user", "dataset.min_user_ratings=3")
    data = instantiate(config.dataset, split=config.split, cache=config.paths.cache, _convert_="all")
    data.setup("fit")
    sizes = np.array([data.n_users, data.n_items])
    rows = {"user": data.train.user, "item": data.train.item, "rating": data.train.rating, "sizes": sizes}
    np.savez(path, **rows, test_user=data.test.user, test_item=data.test.item)
    return f"{'mal_2016' if real else 'Generated'}: {len(data.train):,} ratings"


def measure(algorithm: str, path: Path, python: str, threads: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each library that has the algorithm; `error` is its last line of error, if it failed."""
    of_anirec = None
    for library in ALGORITHMS[algorithm]:
        interpreter = sys.executable if library == "anirec" else python
        command = [interpreter, str(PROGRAM), library, algorithm, str(path), str(threads)]
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
        if library == "anirec":
            environment["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), environment.get("PYTHONPATH", "")])
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        row = {"algorithm": algorithm, "library": library}
        if done.returncode:
            yield row | {"error": (done.stderr.strip().splitlines() or ["ended without a message"])[-1]}
            continue
        row |= json.loads(done.stdout.strip().splitlines()[-1])
        of_anirec = row if library == "anirec" else of_anirec
        yield row | {"fit_ratio": row["fit_cpu"] / of_anirec["fit_cpu"] if of_anirec else None}


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """Return a table of 80 columns: seconds and CPU seconds of fitting and of recommending to all users."""
    made = Table("", "library", "fit", "CPU", "ratio", "lists", "CPU", "MB", "HR@10", title=title, padding=(0, 0))
    for row in rows:
        number = {
            name: "" if value is None else f"{value:.2f}" for name, value in row.items() if isinstance(value, float)
        }
        made.add_row(
            row["algorithm"],
            f"{row['library']} {row['version']}",
            *(number.get(name, "") for name in ("fit", "fit_cpu", "fit_ratio", "recommend", "recommend_cpu")),
            f"{row['megabytes']:.0f}",
            f"{row['hit_rate']:.3f}" if "hit_rate" in row else "",
        )
    return made


if __name__ == "__main__":
    main()
