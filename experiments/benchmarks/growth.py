"""Time and memory per rating as the number of ratings grows; each measurement in a fresh process.

A process of its own is `python -m experiments.benchmarks.growth MODEL RATINGS.npz`; it prints one line of JSON.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anirec.data.ratings.interactions import Interactions
from anirec.tracking.run_folder import PeakMemory
from experiments.benchmarks.ratings import Generated, generated, model, some_users
from experiments.benchmarks.training import epochs_of, train

MILLIONS = (1, 4, 16)
MODELS = ("popularity", "svdpp", "item_knn")


class Grown(NamedTuple):
    """One line of the table; `megabytes` is the peak beyond the interpreter, its libraries and the ratings."""

    model: str
    n: int
    seconds: float
    megabytes: float


def measurements() -> Iterator[Grown]:
    """Every model on every size; the epochs of svdpp count singly."""
    with tempfile.TemporaryDirectory() as folder:
        for millions in MILLIONS:
            path = Path(folder) / f"{millions}.npz"
            rows = generated(millions * 1_000_000)
            np.savez(path, user=rows.user, item=rows.item, rating=rows.rating)
            for name in MODELS:
                command = [sys.executable, "-m", "experiments.benchmarks.growth", name, str(path)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                yield Grown(name, len(rows), **json.loads(output.splitlines()[-1]))


def measure(name: str, path: Path) -> dict[str, float]:
    """Train once on a few users, so that everything is compiled and loaded, then on all."""
    with np.load(path) as file:
        rows = Interactions(file["user"], file["item"], file["rating"], int(file["user"][-1]) + 1)
    few = some_users(rows, 20_000)
    train(made(name), Generated(few))
    before, memory = PeakMemory().peak_mb(), PeakMemory()
    (seconds,) = epochs_of(made(name), Generated(rows), epochs=1)
    return {"seconds": seconds, "megabytes": memory.peak_mb() - before}


def made(name: str) -> object:
    return model(name, *(("epochs=1",) if name == "svdpp" else ()))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
