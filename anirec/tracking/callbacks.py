"""Callbacks of training: checkpoints, early stopping and pruning by the objective, training time, progress bar."""

import os
import shutil
import time
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from anirec.atomic import replacing
from anirec.errors import UserError
from anirec.lightning import Callback, Checkpoint, EarlyStopping, LightningModule, RichProgressBar, Trainer
from anirec.metrics.names import minimized
from anirec.settings import Configurable, Count, NonNegative, PositiveInt
from anirec.tracking.folders import Pruned

if TYPE_CHECKING:
    from optuna import Trial


class LastAndBest(Checkpoint, Configurable):
    """Save `last.ckpt` after every epoch, and keep the best epoch by the objective as `best.ckpt`.

    Of equally good epochs the last one is kept: training may improve what the objective does not measure.

    Args:
        folder: Folder of both files. The best is a hard link to a former last checkpoint, so that it is written once.
        objective: Validation metric; None: there is no best checkpoint.
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
        """Repair best.ckpt if the run was killed after it had saved a new best epoch as last.ckpt only."""
        if trainer.is_global_zero and self.best["epoch"] is not None and self.best != self.recorded_best():
            self.keep_as_best(self.folder / "last.ckpt")

    def recorded_best(self) -> dict[str, Any] | None:
        """Return score and epoch of best.ckpt; None if it cannot be read."""
        try:
            content = torch.load(self.folder / "best.ckpt", map_location="cpu", weights_only=True, mmap=True)
            return content["callbacks"][self.state_key]["best"]
        except Exception:  # missing or damaged: torch raises many kinds of errors
            return None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score = self.score(trainer)
        improved = score is not None and (self.best["score"] is None or score <= self.best["score"])
        if improved:
            self.best = {"score": score, "epoch": trainer.current_epoch}
        # Every process must call this, since Lightning waits for all of them; only the first one writes.
        temporary = self.folder / ".last.ckpt"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            last = temporary.replace(self.folder / "last.ckpt")
            if improved:
                self.keep_as_best(last)

    def keep_as_best(self, last: Path) -> None:
        with replacing(self.folder / "best.ckpt") as temporary:
            self.link_or_copy(last, temporary)

    @staticmethod
    def link_or_copy(last: Path, best: Path) -> None:
        try:
            os.link(last, best)
        except OSError:  # a file system without hard links
            shutil.copyfile(last, best)

    def score(self, trainer: Trainer) -> float | None:
        """Return the objective, negated if higher is better; None without an objective, or if it is not finite."""
        if self.objective is None:
            return None
        value = trainer.callback_metrics.get(self.objective)
        if value is None:
            found = ", ".join(sorted(trainer.callback_metrics)) or "none"
            raise UserError(
                f"objective={self.objective} was not computed. Is the validation set empty? Available metrics: {found}"
            )
        if not torch.isfinite(value):
            return None
        return float(value) if minimized(self.objective) else -float(value)


class Patience(EarlyStopping, Configurable):
    """Stop training when the objective has not improved for some epochs.

    Args:
        objective: Validation metric.
        epochs: Number of epochs without improvement before training stops; >= 1.
        min_delta: Smallest change that counts as an improvement, in the unit of the metric; >= 0.
    """

    def __init__(self, *, objective: str, epochs: PositiveInt, min_delta: NonNegative) -> None:
        mode = "min" if minimized(objective) else "max"
        super().__init__(monitor=objective, patience=epochs, min_delta=min_delta, mode=mode, verbose=False)


class Stopwatch(Callback):
    """Count the seconds of training of a model, including training before it was resumed.

    A resumed run continues the count of its checkpoint: epochs that were lost when a run was killed do not count.
    """

    def __init__(self) -> None:
        self.earlier, self.started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return round(self.earlier + time.perf_counter() - self.started, 3)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.earlier = state["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, disabled if stderr is not a terminal."""

    only_watches: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(leave=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not os.isatty(2):
            self.disable()


class Until(Callback, Configurable):
    """Stop after a number of epochs. Learning rate schedules still extend over trainer.max_epochs, as in the first run.

    Args:
        epochs: Number of epochs; >= 1.
    """

    def __init__(self, *, epochs: PositiveInt) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True


DATABASE = "study.db"


def storage_url(study: Path) -> str:
    """Return the URL of a study's SQLite database; a process waits up to 60 s for others to finish writing."""
    return f"sqlite:///{study / DATABASE}?timeout=60"


class Prune(Callback, Configurable):
    """Report the objective to the study after each epoch, and end the run if the median of earlier trials was better.

    A run that is not a trial of the study, such as a reproduction, is not pruned. With several objectives no trial is
    pruned, as Optuna cannot compare their intermediate values.

    Args:
        folder: Folder of the run.
        study: Folder of the study, with links to the runs of its trials.
        objective: Validation metric.
        enabled: False: only record which run belongs to which trial.
        trials: Number of trials that must have ended before one is pruned; >= 0.
        epochs: Number of epochs that every trial may train; >= 1.
    """

    only_watches: ClassVar[bool] = True  # it ends runs, and changes none that finish

    def __init__(
        self, *, folder: str, study: str, objective: str | None, enabled: bool, trials: Count, epochs: PositiveInt
    ) -> None:
        self.folder, self.study, self.objective = Path(folder), Path(study), objective
        self.enabled, self.trials, self.epochs = enabled, trials, epochs
        self.trial: Trial | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and (self.study / DATABASE).exists():
            self.trial = self.find_trial()
        if self.trial:
            self.trial.set_user_attr("run", "/".join(self.folder.parts[-3:]))
            self.enabled = self.enabled and len(self.trial.study.directions) == 1

    def find_trial(self) -> "Trial | None":
        """Return the running trial whose link points to this run; None if there is none."""
        import optuna

        study = optuna.load_study(
            study_name=self.study.name,
            storage=storage_url(self.study.resolve()),
            sampler=optuna.samplers.RandomSampler(),  # proposes nothing here
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
        if self.trial and self.enabled and isfinite(value) and not is_last:  # SQLite cannot store NaN
            self.trial.report(value, epoch)
            too_bad = self.trial.should_prune()
        if trainer.strategy.broadcast(too_bad):
            raise Pruned(f"Pruned after epoch {epoch + 1}: {self.objective} {value:.4f} is worse than the median.")
