"""What watches a training: checkpoints and early stopping by the objective, in the metric's own direction."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, RichProgressBar

from anirec.atomic import replacing
from anirec.errors import UserError
from anirec.metrics.names import minimized


class LastAndBest(Checkpoint):
    """Save `last.ckpt` after every epoch, and keep as `best.ckpt` the one that is best by the objective: of
    equal ones the last, as some learn what the objective does not measure.

    Args:
        folder: Where both go. The best is a hard link to what was the last: the bytes are written once.
        objective: A validation metric, or None: then there is no best.
    """

    def __init__(self, *, folder: str, objective: str | None) -> None:
        self.folder, self.objective = Path(folder), objective
        self.best_score: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_score = state["best_score"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score = self.score(trainer)
        improved = score is not None and (self.best_score is None or score <= self.best_score)
        if improved:
            self.best_score = score
        # Every process must ask, since Lightning waits for all of them; the first one writes.
        beside = self.folder / ".last.ckpt"
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            last = beside.replace(self.folder / "last.ckpt")
            if improved:
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
        return float(value) if minimized(self.objective) else -float(value)


class Patience(EarlyStopping):
    """Stop when the objective has not improved for some epochs.

    Args:
        objective: A validation metric.
        epochs: How many epochs without improvement to bear; >= 1.
        min_delta: What counts as an improvement, in the metric's unit.
    """

    def __init__(self, *, objective: str, epochs: int, min_delta: float) -> None:
        mode = "min" if minimized(objective) else "max"
        super().__init__(monitor=objective, patience=epochs, min_delta=min_delta, mode=mode, verbose=False)


class ProgressBar(RichProgressBar):
    """Lightning's bar on a terminal; nothing where nobody watches."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not os.isatty(2):
            self.disable()
