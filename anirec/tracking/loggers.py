"""Loggers that a run keeps, and how they learn that it is over: the history of every run, and TensorBoard."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from anirec.atomic import write_text
from anirec.settings import Configurable


@runtime_checkable
class LoggerWithEnd(Protocol):
    """A logger that wants to know when its run is over, however it went."""

    def end(self) -> None:
        """Tell the world what the run folder, now complete, says."""


@contextmanager
def loggers_of_run() -> Iterator[list[Logger]]:
    """A list for the loggers of a run; at the end of the block each `LoggerWithEnd` is ended."""
    loggers: list[Logger] = []
    try:
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, LoggerWithEnd):
                logger.end()


def figures_of(folder: Path) -> dict[str, Path]:
    """The pictures of a run folder, by name."""
    return {path.stem: path for path in sorted((folder / "figures").glob("*.png"))}


class HistoryLogger(Logger, Configurable):
    """`history.csv` in the run folder: one row an epoch, one column a metric.

    A resumed run goes on with the rows that it finds.
    """

    name = None
    version = None

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / "history.csv"
        self.epochs: dict[int, dict[str, Any]] = {}
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.epochs = {int(row["epoch"]): row for row in csv.DictReader(file)}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        epoch = metrics.get("epoch")
        if epoch is not None and not any(name.startswith("test/") for name in metrics):
            self.epochs.setdefault(int(epoch), {}).update(metrics, epoch=int(epoch))

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run folder has the config already."""

    @rank_zero_only
    def save(self) -> None:
        if self.epochs:
            columns = list(dict.fromkeys(name for row in self.epochs.values() for name in row))
            text = io.StringIO()
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.epochs[epoch] for epoch in sorted(self.epochs))
            write_text(self.path, text.getvalue())


class FiguresTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger; the figures of the run folder join the curves.

    Args:
        folder: The run folder; the event files go to `tensorboard/` in it.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__(folder, name="", version="tensorboard")
        self.folder = Path(folder)

    @rank_zero_only
    def end(self) -> None:
        figures = figures_of(self.folder)
        for name, path in figures.items():
            self.experiment.add_image(name, read_pixels(path), dataformats="HWC")
        if figures:
            self.experiment.close()


def read_pixels(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
