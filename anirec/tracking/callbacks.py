"""What watches a training: checkpoints and early stopping by the objective, in the metric's own direction."""

import os
import shutil
import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, RichProgressBar

from anirec.atomic import replacing
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better
from anirec.settings import Configurable, NonNegative, PositiveInt


class LastAndBest(Checkpoint, Configurable):
    """Save `last.ckpt` after every epoch, and keep as `best.ckpt` the one that is best by the objective: of
    equal ones the last, as some learn what the objective does not measure.

    Args:
        folder: Where both go. The best is a hard link to what was the last: the bytes are written once.
        objective: A validation metric, or None: then there is no best.
    """

    only_watches: ClassVar[bool] = True

    def __init__(self, *, folder: str, objective: str | None) -> None:
        self.folder, self.objective = Path(folder), objective
        self.best: dict[str, Any] = {"score": None, "epoch": None}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a kill between the two renames, best.ckpt is older than the best: the checkpoint resumed from."""
        if trainer.is_global_zero and self.best["epoch"] is not None and self.best != self.recorded_best():
            self.keep_as_best(self.folder / "last.ckpt")

    def recorded_best(self) -> dict[str, Any] | None:
        """Score and epoch of best.ckpt; None where it cannot be read."""
        try:
            content = torch.load(self.folder / "best.ckpt", map_location="cpu", weights_only=True, mmap=True)
            return content["callbacks"][self.state_key]["best"]
        except Exception:  # missing or damaged: torch raises nearly anything
            return None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score = self.score(trainer)
        improved = score is not None and (self.best["score"] is None or score <= self.best["score"])
        if improved:
            self.best = {"score": score, "epoch": trainer.current_epoch}
        # Every process must ask, since Lightning waits for all of them; the first one writes.
        beside = self.folder / ".last.ckpt"
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            last = beside.replace(self.folder / "last.ckpt")
            if improved:
                self.keep_as_best(last)

    def keep_as_best(self, last: Path) -> None:
        with replacing(self.folder / "best.ckpt") as beside:
            self.link(last, beside)

    @staticmethod
    def link(last: Path, best: Path) -> None:
        try:
            os.link(last, best)
        except OSError:  # a file system without hard links
            shutil.copyfile(last, best)

    def score(self, trainer: Trainer) -> float | None:
        """The objective, turned so that lower is better; None where there is none."""
        if self.objective is None:
            return None
        value = trainer.callback_metrics.get(self.objective)
        if value is None:
            measured = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise UserError(
                f"objective={self.objective} was not measured: is the validation set empty? There is {measured}"
            )
        if not torch.isfinite(value):
            return None
        return float(value) if lower_is_better(self.objective) else -float(value)


class Patience(EarlyStopping, Configurable):
    """Stop when the objective has not improved for some epochs.

    Args:
        objective: A validation metric.
        epochs: How many epochs without improvement to bear; >= 1.
        min_delta: What counts as an improvement, in the metric's unit.
    """

    def __init__(self, *, objective: str, epochs: PositiveInt, min_delta: NonNegative) -> None:
        mode = "min" if lower_is_better(objective) else "max"
        super().__init__(monitor=objective, patience=epochs, min_delta=min_delta, mode=mode, verbose=False)


class Stopwatch(Callback):
    """Count the seconds of training that made a model, over all the times that it was resumed.

    A resumed run takes up the count that its checkpoint has: what was lost with a kill is not part of the model's cost.
    """

    def __init__(self) -> None:
        self.earlier, self.started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        return round(self.earlier + time.perf_counter() - self.started, 3)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.earlier = state["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()


class ProgressBar(RichProgressBar):
    """Lightning's bar on a terminal; nothing where nobody watches."""

    only_watches: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(leave=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not os.isatty(2):
            self.disable()
