"""Time of each model on a graphics card, and the share of the card's speed that it reaches.

    python -m experiments.benchmarks.card
    python -m experiments.benchmarks.card --rows 200000

By default, 22 million ratings are generated for a CUDA device. Without one, the same code runs on the CPU. The speed
of 100 % is measured on the same device: a copy of a large array, and a product of large random float32 matrices in the
precision that the model allows (float32, or TensorFloat-32 for networks).
"GB/s" and "GFLOP/s" count the bytes and operations that the work needs at least, so that repeated reads of a row lower
the share. "Difference" is the largest difference of predictions from those of the CPU, after a training on 1/50 of the
rows on both devices, relative to their standard deviation.
"""

import csv
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.evaluation.top_items import top_items
from anirec.lightning import Callback, Trainer, seed_everything
from experiments.benchmarks.ncf import Rated
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.ratings import create_model, generate_ratings

N_ROWS = 22_000_000
SMALLER = 50  # the part of the rows with which both devices are compared
N_COMPARED = 1000  # users, and ratings, that are compared
N_RANKED = 20_000  # users
BLOCK = 1024  # users ranked at once
K = 10
MATRIX, COPIED = {"cuda": 8192, "cpu": 1024}, {"cuda": 1 << 28, "cpu": 1 << 24}  # rows; float32 numbers


@dataclass(frozen=True)
class Work:
    """A model to train, and what one epoch needs at least.

    Args:
        model: Name of the YAML.
        overrides: Settings of the model.
        factor_bytes: Bytes read or written for each factor of each rating.
        factor_operations: Floating-point operations on each factor of each rating.
        pair_bytes: Bytes read or written for each pair of items.
        triple_operations: Floating-point operations for each triple of items.
    """

    model: str
    overrides: tuple[str, ...] = ()
    factor_bytes: int = 0
    factor_operations: int = 0
    pair_bytes: int = 0
    triple_operations: int = 0


@dataclass(frozen=True)
class Measured:
    """One row of the table; shares are of the copy and of the matrix product."""

    work: str
    seconds: float
    gigabytes_per_second: float
    share_of_copy: float
    gigaflops: float
    share_of_product: float
    difference: float


# A rating of SVD reads and writes two rows of factors; SVD++ also reads and writes a third, and reads it again: its
# sweeps run on the CPU. ALS reads a row for each rating in both halves of a sweep, at least. AdamW also reads and
# writes two moments of both rows, and the layers of NCF do about 25 multiplications for each factor, three times.
WORKS = (
    Work("svd", ("epochs=2",), factor_bytes=16, factor_operations=8),
    Work("svdpp", ("epochs=2",), factor_bytes=28, factor_operations=14),
    Work("als", ("epochs=2",), factor_bytes=8, factor_operations=8),
    Work("ease", pair_bytes=12, triple_operations=2),
    Work("ncf", ("training.epochs=2",), factor_bytes=56, factor_operations=150),
)


class EpochClock(Callback):
    """Measure the seconds of each training epoch, until the device has finished its work."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        wait(trainer.strategy.root_device)
        self.started = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        wait(trainer.strategy.root_device)
        self.seconds.append(perf_counter() - self.started)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], object], device: torch.device, repeat: int = 5) -> float:
    """Return the median seconds of a call, after a first one that is not measured."""
    took = []
    for _ in range(repeat + 1):
        wait(device)
        started = perf_counter()
        call()
        wait(device)
        took.append(perf_counter() - started)
    return median(took[1:])


def copy_speed(device: torch.device) -> float:
    """Return the bytes per second that a copy reads and writes."""
    source = torch.randn(COPIED[device.type], device=device)
    target = torch.empty_like(source)
    return 8 * len(source) / seconds_of(lambda: target.copy_(source), device)


def product_speed(device: torch.device, precision: str) -> float:
    """Return the floating-point operations per second of a product of float32 matrices, "highest" or "high"."""
    n = MATRIX[device.type]
    matrix = torch.randn(n, n, device=device)
    torch.set_float32_matmul_precision(precision)
    return 2 * n**3 / seconds_of(lambda: matrix @ matrix, device)


def fitted(work: Work, rows: Interactions, device: torch.device) -> tuple[Any, float]:
    """Train on the device; return the model and the seconds of its last epoch, which compiles nothing."""
    seed_everything(1, verbose=False)
    model, clock = create_model(work.model, *work.overrides), EpochClock()
    model.n_users, model.n_items = rows.n_users, Rated.n_items
    model.configure_model()  # on the CPU, so that all devices start from the same numbers
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_epochs=getattr(model, "epochs", None) or (2 if work.model == "ncf" else 1),
        limit_val_batches=0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=Rated(rows))
    return model.eval().to(device), clock.seconds[-1]


@torch.no_grad()
def predictions(model: Any, rows: Interactions, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return predicted ratings of the first rows, and scores of all items for the first users."""
    batch = RatingBatch(*(column.to(device) for column in rows.rows(0, N_COMPARED)))
    users = torch.arange(min(N_COMPARED, rows.n_users), device=device)
    return model(batch).cpu(), model.score_items(users).cpu()


def difference(work: Work, rows: Interactions, device: torch.device) -> float:
    """Return the largest relative difference of predictions and scores between the device and the CPU."""
    pairs = (predictions(fitted(work, rows, there)[0], rows, there) for there in (torch.device("cpu"), device))
    return max(float((a - b).abs().max() / a.std()) for a, b in zip(*pairs, strict=True))


def measurements(n_rows: int, device: torch.device) -> list[Measured]:
    """Train and rank with each model on generated ratings."""
    rows, few = generate_ratings(n_rows), generate_ratings(max(2000, n_rows // SMALLER))
    copied, products = copy_speed(device), {name: product_speed(device, name) for name in ("highest", "high")}
    measured = []

    def add(name: str, seconds: float, n_bytes: float, n_operations: float, differs: float) -> None:
        speeds = n_bytes / seconds, n_operations / seconds
        shares = speeds[0] / copied, speeds[1] / product
        measured.append(Measured(name, seconds, speeds[0] / 1e9, shares[0], speeds[1] / 1e9, shares[1], differs))

    for work in WORKS:
        model, seconds = fitted(work, rows, device)
        product = products[model.matmul_precision]
        differs = 0.0 if device.type == "cpu" else difference(work, few, device)
        n_factors = model.head.width if work.model == "ncf" else getattr(model, "n_factors", 0)
        n_bytes = work.factor_bytes * len(rows) * n_factors + work.pair_bytes * model.n_items**2
        operations = work.factor_operations * len(rows) * n_factors + work.triple_operations * model.n_items**3
        add(f"{work.model}: epoch", seconds, n_bytes, operations, differs)
        users = np.arange(min(N_RANKED, rows.n_users))

        def rank(model: Any = model, users: Any = users) -> None:
            top_items(model.score_items, users, [rows], k=K, block=BLOCK, device=model.device)

        n_scores = len(users) * model.n_items
        add(f"{work.model}: rank", seconds_of(rank, device, 1), 4 * n_scores, 2 * n_scores * n_factors, differs)
        del model
    return measured


def table_of(measured: Sequence[Measured], title: str) -> Table:
    table = Table("work", "seconds", "GB/s", "of copy", "GFLOP/s", "of product", "difference", title=title)
    for row in measured:
        speeds = (f"{row.gigabytes_per_second:.1f}", f"{row.share_of_copy:.0%}", f"{row.gigaflops:.1f}")
        table.add_row(row.work, f"{row.seconds:.3f}", *speeds, f"{row.share_of_product:.1%}", f"{row.difference:.0e}")
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--rows", type=int, help=f"ratings to generate; {N_ROWS:,} on a card, 200,000 on the CPU")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("outputs") / "benchmarks" / "card.csv",
        help="table to write; default: outputs/benchmarks/card.csv",
    )
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    device, console = torch.device("cuda" if torch.cuda.is_available() else "cpu"), Console(width=80)
    n_rows = given.rows or (N_ROWS if device.type == "cuda" else 200_000)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    if device.type == "cpu":
        console.print("No CUDA device: the same code runs on the CPU, to show that it works, not how fast a card is.")
    measured = measurements(n_rows, device)
    console.print(table_of(measured, f"{n_rows:,} ratings on {name}"))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with given.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(measured[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in measured)
    console.print(f"Table written to {given.output}", style="dim")


if __name__ == "__main__":
    main()
