"""Time of an NCF epoch on one thread: shuffled slices of arrays compared with a Dataset of single ratings.

python -m experiments.benchmarks.ncf
"""

import logging
import warnings
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.lightning import LightningDataModule
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.ratings import Generated, create_model, generate_ratings
from experiments.benchmarks.training import epochs_of, seconds

N_RATINGS = 1_000_000


class Rated(Generated):
    """Generated ratings, with the attributes that NCF reads."""

    def __init__(self, train: Interactions) -> None:
        super().__init__(train)
        self.history, self.given = train, train.where(train.user < 0)


class Rows(Dataset[Any]):
    """A Dataset as in PyTorch tutorials; columns are tensors or lists of numbers."""

    def __init__(self, user: Sequence[Any], item: Sequence[Any], rating: Sequence[Any]) -> None:
        self.user, self.item, self.rating = user, item, rating

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        return self.user[index], self.item[index], self.rating[index]


class ByRows(Rated):
    """The same ratings through PyTorch's DataLoader."""

    def __init__(self, train: Interactions, rows: Rows, *, batch_size: int, num_workers: int) -> None:
        super().__init__(train)
        self.loader = DataLoader(rows, batch_size=batch_size, shuffle=True, num_workers=num_workers)

    def train_dataloader(self) -> Any:
        super().train_dataloader()  # sets the seed of the model
        return self.loader

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> RatingBatch:
        user, item, rating = batch
        return RatingBatch(user, item, rating.float())


def epoch_seconds(data: LightningDataModule) -> float:
    return median(epochs_of(create_model("ncf"), data, epochs=1))


def main() -> None:
    create_parser(__doc__).parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    data = Rated(generate_ratings(N_RATINGS))
    columns = data.train.rows(0, len(data.train))
    kinds = {"tensors": Rows(*columns), "numbers": Rows(*(column.tolist() for column in columns))}
    network = create_model("ncf")
    size = network.training_settings.batch_size
    before, fed = epoch_seconds(data), seconds(lambda: list(network.batches(data, 0, 1)))[0]
    others = []
    for kind, rows in kinds.items():
        for num_workers in (0, 2):
            by_rows = ByRows(data.train, rows, batch_size=size, num_workers=num_workers)
            others.append(
                (f"rows of {kind}, {num_workers} workers", epoch_seconds(by_rows), feeding_seconds(by_rows.loader))
            )
    ours = (
        before + epoch_seconds(data)
    ) / 2  # before and after the others, so that a drift of the machine's load cancels
    table = Table(
        "batches", "epoch", "ratio", "loading alone", title=f"NCF, {len(data.train):,} ratings, batch size {size}"
    )
    for name, epoch, loading in [("anirec", ours, fed), *others]:
        table.add_row(name, f"{epoch:.2f} s", f"{epoch / ours:.1f} x", f"{loading:.2f} s")
    Console().print(table)


def feeding_seconds(loader: DataLoader[Any]) -> float:
    """Return the seconds of an epoch of loading without training."""

    def iterate() -> None:
        for _ in loader:
            pass

    return seconds(iterate)[0]


if __name__ == "__main__":
    main()
