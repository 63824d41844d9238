"""Trials of a search: threads that draw them, launch each as a job, and record what came of it."""

import threading
from pathlib import Path

import optuna
from hydra.plugins.launcher import Launcher
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from anirec.tracking.console import print_failure
from anirec.tracking.folders import status_of

EXHAUSTED = "exhausted"  # an attribute of the study: its sampler has tried every combination
DEFAULTS = "defaults"  # an attribute of the trial that has the config's own values
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
Space = dict[str, BaseDistribution]


def job_link(folder: Path, trial: Trial | FrozenTrial) -> Path:
    """Where a job of that number links its run."""
    return folder / f"{trial.number:04d}"


class Workers:
    """Threads that each ask the study for a trial, launch it as one job, and tell the study what came of it.

    A thread asks again as soon as its own job has ended, so that its next trial is drawn from all that ended so far.

    Args:
        study: Asked and told by one thread at a time.
        space: What it draws from, by key.
        folder: Of the search.
        launcher: Starts a process for each job; with one worker, any launcher.
        overrides: What all trials share.
    """

    def __init__(
        self, study: optuna.Study, space: Space, folder: Path, launcher: Launcher, overrides: list[str]
    ) -> None:
        self.study, self.space, self.folder, self.launcher = study, space, folder, launcher
        self.overrides = overrides
        self.lock, self.n_left = threading.Lock(), 0
        self.error: BaseException | None = None

    def run(self, n_trials: int, *, at_once: int) -> None:
        """Run so many trials, failed ones included.

        Raises:
            Exception: The launcher could not start a job.
        """
        self.n_left = n_trials
        if at_once == 1:  # in this thread: a job in this process may need signals
            self.work()
            return
        if hasattr(self.launcher, "ray_cfg") and n_trials:  # its own check is not for threads
            from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

            start_ray(self.launcher.ray_cfg.init)
        threads = [threading.Thread(target=self.guarded, daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.error:
            raise self.error

    def guarded(self) -> None:
        """Work; an error ends the search when the other threads' jobs have ended."""
        try:
            self.work()
        except BaseException as error:
            self.error, self.n_left = error, 0

    def work(self) -> None:
        """Run trials until none is left."""
        while trial := self.ask():
            values = self.launch(trial)
            with self.lock:
                self.tell(trial, values)

    def ask(self) -> Trial | None:
        """The next trial; None if there have been enough."""
        with self.lock:
            if self.n_left <= 0:
                return None
            self.n_left -= 1
            return self.study.ask(self.space)

    def launch(self, trial: Trial) -> list[float] | None:
        """The objectives of the trial's run; None if it failed or was pruned."""
        overrides = [*self.overrides, *(f"{key}={value}" for key, value in trial.params.items())]
        try:
            (job,) = self.launcher.launch([overrides], initial_job_idx=trial.number)
        except Exception as error:
            if not job_link(self.folder, trial).exists():  # the job did not begin: no other will
                self.study.tell(trial, state=TrialState.FAIL)
                raise
            print_failure(None, error)
            return None
        return job.return_value

    def tell(self, trial: Trial, values: list[float] | None) -> None:
        """Record the trial as complete, pruned or failed."""
        is_pruned = values is None and status_of(job_link(self.folder, trial))["state"] == "pruned"
        state = TrialState.PRUNED if is_pruned else TrialState.FAIL if values is None else TrialState.COMPLETE
        try:
            self.study.tell(trial, values, state)
        except RuntimeError:  # of a grid sampler that has no combination left; the trial is recorded
            self.study.set_user_attr(EXHAUSTED, True)
            self.n_left = 0
