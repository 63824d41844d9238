"""Time and memory of training as the number of ratings grows; each measurement in a new process.

The process is `python -m experiments.benchmarks.growth MODEL RATINGS.npz`, which prints one line of JSON.
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
from experiments.benchmarks.ratings import Generated, create_model, generate_ratings, sample_users
from experiments.benchmarks.training import epochs_of, train

MILLIONS = (1, 4, 16)
MODELS = ("popularity", "svdpp", "item_knn")


class Growth(NamedTuple):
    """A row of the table; `megabytes` is the peak memory beyond the interpreter, its libraries and the ratings."""

    model: str
    n: int
    seconds: float
    megabytes: float


def measurements() -> Iterator[Growth]:
    """Yield a measurement of each model on each number of ratings; for svdpp, of one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        for millions in MILLIONS:
            path = Path(folder) / f"{millions}.npz"
            rows = generate_ratings(millions * 1_000_000)
            np.savez(path, user=rows.user, item=rows.item, rating=rows.rating)
            for name in MODELS:
                command = [sys.executable, "-m", "experiments.benchmarks.growth", name, str(path)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                yield Growth(name, len(rows), **json.loads(output.splitlines()[-1]))


def measure(name: str, path: Path) -> dict[str, float]:
    """Train on a few users, to compile and load everything, then measure the training on all."""
    with np.load(path) as file:
        rows = Interactions(file["user"], file["item"], file["rating"], int(file["user"][-1]) + 1)
    few = sample_users(rows, 20_000)
    train(one_epoch_model(name), Generated(few))
    before, memory = PeakMemory().peak_mb(), PeakMemory()
    (seconds,) = epochs_of(one_epoch_model(name), Generated(rows), epochs=1)
    return {"seconds": seconds, "megabytes": memory.peak_mb() - before}


def one_epoch_model(name: str) -> object:
    return create_model(name, *(("epochs=1",) if name == "svdpp" else ()))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
