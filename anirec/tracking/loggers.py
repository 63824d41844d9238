"""Loggers: the history of every run, TensorBoard with figures, and notification of loggers when a run has ended."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from anirec.atomic import write_text
from anirec.lightning import Logger, TensorBoardLogger, rank_zero_only
from anirec.settings import Configurable


@runtime_checkable
class LoggerWithEnd(Protocol):
    """A logger that is notified when its run has ended, whether or not it succeeded."""

    def end(self) -> None:
        """Log the results of the run folder, which is now complete."""


@contextmanager
def loggers_of_run() -> Iterator[list[Logger]]:
    """Yield a list for the loggers of a run, and call `end` of each `LoggerWithEnd` in it at the end of the block."""
    loggers: list[Logger] = []
    try:
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, LoggerWithEnd):
                logger.end()


def figures_of(folder: Path) -> dict[str, Path]:
    """Return the paths of the figures of a run folder, by name."""
    return {path.stem: path for path in sorted((folder / "figures").glob("*.png"))}


class HistoryLogger(Logger, Configurable):
    """Write `history.csv` in the run folder: one row per epoch, one column per metric.

    A resumed run keeps the rows that are there. Lightning logs the training metrics of an epoch after it has saved its
    checkpoint; `LastAndBest` therefore records them before, so that a run that is killed in between does not lose them.
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

    def record(self, epoch: int, metrics: dict[str, float]) -> None:
        """Write all metrics of an epoch now."""
        self.log_metrics({**metrics, "epoch": epoch})
        self.save()

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run folder contains the config."""

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
    """Lightning's TensorBoard logger, with the figures of the run folder in addition to the curves.

    Args:
        folder: Run folder; the event files are written to `tensorboard/` in it.
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
    """Return an image as an array, (height, width, 3) uint8."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
