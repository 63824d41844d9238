"""Callbacks of training: checkpoints, early stopping and pruning by the objective, training time, progress bar."""

import os
import shutil
import sys
import time
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from anirec.atomic import replacing
from anirec.errors import UserError
from anirec.lightning import Callback, Checkpoint, EarlyStopping, LightningModule, TorchCheckpointIO, Trainer
from anirec.lightning import ProgressBar as LightningProgressBar
from anirec.metrics.names import minimized
from anirec.models.base import tensor_versions
from anirec.progress import duration, epoch_line
from anirec.settings import Configurable, Count, NonNegative, PositiveInt
from anirec.tracking.console import CONSOLE
from anirec.tracking.folders import Pruned
from anirec.tracking.loggers import HistoryLogger

if TYPE_CHECKING:
    from optuna import Trial

LINE_SECONDS = 2.0  # between the lines of two epochs
LONG_SECONDS = 30.0  # without a line before one is printed within an epoch


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint straight to its file; Lightning's own class first makes two copies of it in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save(checkpoint, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


class LastAndBest(Checkpoint, Configurable):
    """Save `last.ckpt` after every epoch, and keep the best epoch by the objective as `best.ckpt`.

    Of equally good epochs the last one is kept: training may improve what the objective does not measure.

    Args:
        folder: Folder of both files. The best is a hard link to a former last checkpoint, so that it is written once.
        objective: Validation metric; None: there is no best checkpoint.

    Attributes:
        is_best_in_memory: Whether the model that was trained is that of the best checkpoint, so that it need not be
            loaded. False after training that was resumed without any epoch left.
    """

    only_watches: ClassVar[bool] = True

    def __init__(self, *, folder: str, objective: str | None) -> None:
        self.folder, self.objective = Path(folder), objective
        self.best: dict[str, Any] = {"score": None, "epoch": None}
        self.has_differed = False  # the scores of the epochs; assumed for those before a resume
        self.saved: tuple[int, list[tuple[int, int]]] | None = None  # epoch, and versions of the model's tensors
        self.is_best_in_memory = False

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.has_differed = state["best"], True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not a plugin of the config
            trainer.strategy.checkpoint_io = DirectCheckpointIO()

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
        self.has_differed |= self.best["score"] is not None and score != self.best["score"]
        if improved:
            self.best = {"score": score, "epoch": trainer.current_epoch}
        # Those of validation are in the loggers already, and may be those of an earlier epoch here.
        found = trainer.callback_metrics
        metrics = {name: float(found[name]) for name in found if not name.startswith("val/")}
        for logger in trainer.loggers:
            if isinstance(logger, HistoryLogger):
                logger.record(trainer.current_epoch, metrics)
        # Every process must call this, since Lightning waits for all of them; only the first one writes.
        temporary = self.folder / ".last.ckpt"
        trainer.save_checkpoint(temporary)
        self.saved = trainer.current_epoch, tensor_versions(pl_module)
        if trainer.is_global_zero:
            last = temporary.replace(self.folder / "last.ckpt")
            if improved:
                self.keep_as_best(last)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out whether the best checkpoint, or the last if there is no best, is the model in memory."""
        epoch, versions = self.saved or (-1, [])
        self.is_best_in_memory = self.best["epoch"] in (None, epoch) and versions == tensor_versions(pl_module)

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

    A resumed run continues the count of its checkpoint: epochs that were lost when a run was killed do not count. The
    first run of a process also compiles kernels and starts the GPU, which does not count either.
    """

    def __init__(self) -> None:
        self.earlier, self.started = 0.0, time.perf_counter()
        self.compilation: Any = None  # numba's timer
        self.is_timing = False

    @property
    def seconds(self) -> float:
        """Seconds of training so far, without compilation."""
        return round(self.earlier + time.perf_counter() - self.started - self.compile_seconds, 3)

    @property
    def compile_seconds(self) -> float:
        """Seconds in which numba compiled kernels that were not in its cache on disk."""
        return round(self.compilation.duration, 3) if self.compilation and self.compilation.done else 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.earlier = state["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.zeros(1, device=trainer.strategy.root_device)  # the first call starts the GPU
        if "numba" in sys.modules:
            from numba.core import event

            self.compilation = event.TimingListener()
            event.register("numba:compile", self.compilation)
            self.is_timing = True
        self.started = time.perf_counter()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop_timer()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stop_timer()

    def stop_timer(self) -> None:
        """Remove numba's timer, which otherwise also measures later runs of this process."""
        if self.is_timing:
            from numba.core import event

            event.unregister("numba:compile", self.compilation)
        self.is_timing = False


class ProgressBar(LightningProgressBar):
    """Print a line per epoch, such as `epoch 3/20, 1.2 s, val/rmse 1.1430`; on a terminal, a bar with the same words.

    Fast epochs share a line. At the end it prints how long the training took, why it stopped and its best epoch.
    Training of one epoch is mentioned only if it takes longer than `LINE_SECONDS`.
    """

    only_watches: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.bar: Progress | None = None
        self.is_enabled, self.is_shown = True, False

    def enable(self) -> None:
        self.is_enabled = True

    def disable(self) -> None:
        self.is_enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_shown = trainer.is_global_zero and self.is_enabled
        self.start = self.printed_at = time.monotonic()
        self.first_epoch, self.line = trainer.current_epoch, ""
        if self.is_shown and CONSOLE.is_terminal:
            parts = TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn()
            self.bar = Progress(*parts, console=CONSOLE, transient=True)
            self.bar.add_task("training", total=1.0)
            self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch_start = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        n_batches = self.total_train_batches
        share = (trainer.fit_loop.epoch_loop.batch_idx + 1) / n_batches if isfinite(n_batches) else 0.0
        self.report(trainer, share, {}, pause=LONG_SECONDS)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.report(trainer, 1.0, self.shown_metrics(trainer), pause=LINE_SECONDS)

    def report(self, trainer: Trainer, share: float, metrics: dict[str, float], *, pause: float) -> None:
        """Show a line about the current epoch, of which this share is done: on the bar, or after a pause printed."""
        now, epoch, n_epochs = time.monotonic(), trainer.current_epoch, trainer.max_epochs
        done = epoch - self.first_epoch + share
        left = (now - self.start) / done * ((n_epochs or 0) - self.first_epoch - done) if done else 0.0
        n_known = n_epochs if n_epochs and n_epochs > 0 else None
        self.line = epoch_line(epoch + 1, n_known, now - self.epoch_start, metrics, left)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], description=self.line, completed=share)
        elif self.is_shown and now - self.printed_at >= pause:
            self.print_line()

    def print_line(self) -> None:
        CONSOLE.print(f"  {self.line}", markup=False)
        self.line, self.printed_at = "", time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds, n_epochs = time.monotonic() - self.start, trainer.current_epoch
        self.close()
        if self.is_shown and (trainer.max_epochs != 1 or seconds > LINE_SECONDS):
            if self.line:
                self.print_line()
            if trainer.max_epochs != 1:
                CONSOLE.print(f"  {self.summary(trainer, n_epochs, seconds)}", markup=False)

    def summary(self, trainer: Trainer, n_epochs: int, seconds: float) -> str:
        """Return how many epochs were trained, why training stopped, and which epoch was best."""
        words = f"{n_epochs} epochs in {duration(seconds)}"
        if n_epochs < (trainer.max_epochs or 0):
            stops = [one for one in trainer.early_stopping_callbacks if one.stopped_epoch]
            why = "".join(f" ({one.monitor} has not improved for {one.patience} epochs)" for one in stops)
            words = f"stopped after {n_epochs} of {trainer.max_epochs} epochs{why}"
        checkpoint = trainer.checkpoint_callback
        if not isinstance(checkpoint, LastAndBest) or checkpoint.objective is None or checkpoint.best["epoch"] is None:
            return words
        value = checkpoint.best["score"] * (1 if minimized(checkpoint.objective) else -1)
        if n_epochs > 1 and not checkpoint.has_differed:
            return f"{words}; all epochs equal: {checkpoint.objective} {value:.4f}"
        return f"{words}; best: epoch {checkpoint.best['epoch'] + 1}, {checkpoint.objective} {value:.4f}"

    def shown_metrics(self, trainer: Trainer) -> dict[str, float]:
        """Return the objective and the first validation metric of the last epoch."""
        found = trainer.callback_metrics
        names = [getattr(trainer.checkpoint_callback, "objective", None), *trainer.progress_bar_metrics]
        return {name: float(found[name]) for name in names if name in found and name.startswith("val/")}

    def close(self) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.stop()
        self.bar = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.close()


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
