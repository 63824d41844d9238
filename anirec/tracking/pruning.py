"""Trials that do worse than others did by then are ended early."""

from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytorch_lightning import Callback, LightningModule, Trainer

from anirec.settings import Configurable, Count, PositiveInt
from anirec.tracking.folders import Pruned

if TYPE_CHECKING:
    from optuna import Trial

DATABASE = "study.db"


def storage(study: Path) -> str:
    """Where Optuna keeps a study; several processes write to it in turns, and wait for each other that many seconds."""
    return f"sqlite:///{study / DATABASE}?timeout=60"


class Prune(Callback, Configurable):
    """Tell the study the objective after each epoch; end the run where the median of other trials was better by then.

    A run that is no trial of that study, such as a repetition, is left alone.

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

    def find(self) -> "Trial | None":
        """The trial at work whose link leads to this run."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.load_study(
            study_name=self.study.name,
            storage=storage(self.study.resolve()),
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
            if too_bad:
                self.trial.set_user_attr("pruned", True)
        if trainer.strategy.broadcast(too_bad):
            raise Pruned(f"ended after epoch {epoch + 1}: {self.objective} {value:.4f}, behind the median", value)
