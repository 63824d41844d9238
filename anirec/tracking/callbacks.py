"""What watches a training: checkpoints and early stopping by the objective, in the metric's own direction."""

import os
import shutil
import time
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, RichProgressBar

from anirec.atomic import replacing
from anirec.errors import UserError
from anirec.metrics.names import minimized
from anirec.settings import Configurable, Count, NonNegative, PositiveInt
from anirec.tracking.folders import Pruned

if TYPE_CHECKING:
    from optuna import Trial


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
        return float(value) if minimized(self.objective) else -float(value)


class Patience(EarlyStopping, Configurable):
    """Stop when the objective has not improved for some epochs.

    Args:
        objective: A validation metric.
        epochs: How many epochs without improvement to bear; >= 1.
        min_delta: What counts as an improvement, in the metric's unit.
    """

    def __init__(self, *, objective: str, epochs: PositiveInt, min_delta: NonNegative) -> None:
        mode = "min" if minimized(objective) else "max"
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


class Until(Callback, Configurable):
    """Stop after so many epochs. Schedules still stretch over trainer.max_epochs, as when the epoch was chosen.

    Args:
        epochs: How many; >= 1.
    """

    def __init__(self, *, epochs: PositiveInt) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True


DATABASE = "study.db"


def storage_url(study: Path) -> str:
    """Where Optuna keeps a study; several processes write to it in turns, and wait for each other that many seconds."""
    return f"sqlite:///{study / DATABASE}?timeout=60"


class Prune(Callback, Configurable):
    """Tell the study the objective after each epoch; end the run where the median of other trials was better by then.

    A run that is no trial of that study, such as a repetition, is left alone. Of several objectives, no trial is
    pruned: Optuna has no order of intermediate values then.

    Args:
        folder: The run's.
        study: The study's, which links to the runs of its trials.
        objective: A validation metric.
        enabled: False: only say which run is whose.
        trials: So many must have ended before one is ended early; >= 0.
        epochs: So many each may have at least; >= 1.
    """

    only_watches: ClassVar[bool] = True  # it ends what would not be kept

    def __init__(
        self, *, folder: str, study: str, objective: str | None, enabled: bool, trials: Count, epochs: PositiveInt
    ) -> None:
        self.folder, self.study, self.objective = Path(folder), Path(study), objective
        self.enabled, self.trials, self.epochs = enabled, trials, epochs
        self.trial: Trial | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and (self.study / DATABASE).exists():
            self.trial = self.find()
        if self.trial:
            self.trial.set_user_attr("run", "/".join(self.folder.parts[-3:]))
            self.enabled = self.enabled and len(self.trial.study.directions) == 1

    def find(self) -> "Trial | None":
        """The trial at work whose link leads to this run."""
        import optuna

        study = optuna.load_study(
            study_name=self.study.name,
            storage=storage_url(self.study.resolve()),
            sampler=optuna.samplers.RandomSampler(),  # has nothing to propose here
            pruner=optuna.pruners.MedianPruner(self.trials, self.epochs - 1),
        )
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if (self.study / f"{trial.number:04d}").resolve() == self.folder.resolve():
                return optuna.Trial(study, trial._trial_id)
        return None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get(self.objective or "", nan))
        epoch, is_last = trainer.current_epoch, trainer.current_epoch + 1 == trainer.max_epochs
        too_bad = False
        if self.trial and self.enabled and isfinite(value) and not is_last:  # SQLite knows no NaN
            self.trial.report(value, epoch)
            too_bad = self.trial.should_prune()
        if trainer.strategy.broadcast(too_bad):
            raise Pruned(f"ended after epoch {epoch + 1}: {self.objective} {value:.4f}, behind the median")
