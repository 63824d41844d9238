"""Loggers: the history that every run keeps, and Weights & Biases as a sweep needs it."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from anirec.atomic import write_text
from anirec.metrics.names import lower_is_better


class HistoryLogger(Logger):
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


class SweepWandbLogger(WandbLogger):
    """Lightning's W&B logger; each metric's best value stands in the run's summary.

    Args:
        metrics: Names whose best validation value the summary shows.
        settings: What `wandb.init` takes: project, group, job_type, tags, name, …
    """

    def __init__(self, *, metrics: list[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.metrics = metrics

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        is_new = self._experiment is None
        run = super().experiment
        if is_new:
            for name in self.metrics:
                run.define_metric(f"val/{name}", summary="min" if lower_is_better(name) else "max")
        return run


def show_figures(loggers: Sequence[Logger], figures: Mapping[str, Path]) -> None:
    """Hand the pictures to the loggers that can show them."""
    for logger in loggers:
        for name, path in figures.items():
            if isinstance(logger, WandbLogger):
                logger.log_image(name, [str(path)])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, pixels(path), dataformats="HWC")


def pixels(path: Path) -> Any:
    """(H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def close_loggers(*, failed: bool) -> None:
    """End the W&B run, if one is open: as failed where the run failed. The next job of a multirun opens its own."""
    if "wandb" in sys.modules:
        import wandb

        if wandb.run is not None:
            wandb.finish(exit_code=int(failed))
