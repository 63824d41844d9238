"""Trials of a search: threads that sample them, launch each as a job, and record its result."""

import threading
from pathlib import Path
from typing import Protocol, runtime_checkable

import optuna
from hydra.plugins.launcher import Launcher
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from anirec.sweeps.estimate import Estimate
from anirec.tracking.console import CONSOLE, print_failure
from anirec.tracking.folders import status_of

EXHAUSTED = "exhausted"  # attribute of a study whose sampler has tried all combinations
DEFAULTS = "defaults"  # attribute of the trial with the default values
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
Space = dict[str, BaseDistribution]


def job_link(folder: Path, trial: Trial | FrozenTrial) -> Path:
    """Return the path of the link to the run of a trial."""
    return folder / f"{trial.number:04d}"


@runtime_checkable
class Interruptible(Protocol):
    """A launcher whose jobs do not receive Ctrl-C themselves."""

    def interrupt(self) -> None:
        """Interrupt all jobs, and wait for them."""


class Workers:
    """Threads that each take a trial from the study, launch it as one job, and report its result to the study.

    A thread takes its next trial as soon as its own job has ended, so that the sampler knows all results so far.

    Args:
        study: Used by one thread at a time.
        space: Distributions by key.
        folder: Folder of the search.
        launcher: Starts a process for each job; with one worker, any launcher.
        overrides: Overrides that all trials share.
    """

    def __init__(
        self, study: optuna.Study, space: Space, folder: Path, launcher: Launcher, overrides: list[str]
    ) -> None:
        self.study, self.space, self.folder, self.launcher = study, space, folder, launcher
        self.overrides = overrides
        self.lock, self.n_left = threading.Lock(), 0
        self.error: BaseException | None = None

    def run(self, n_trials: int, *, at_once: int) -> None:
        """Run `n_trials` trials, failed ones included, with `at_once` threads.

        Raises:
            Exception: The launcher could not start a job.
        """
        self.n_left = n_trials
        self.estimate = Estimate(self.folder, n_trials, at_once=at_once, word="trials")
        if at_once == 1:  # stay in this thread: a job in this process may need signals
            self.work()
            return
        if hasattr(self.launcher, "ray_cfg") and n_trials:  # the launcher's own start of Ray is not thread-safe
            from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

            start_ray(self.launcher.ray_cfg.init)
        threads = [threading.Thread(target=self.work_guarded, daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=1.0)  # a join without a timeout may never notice Ctrl-C
        except KeyboardInterrupt:
            self.n_left = 0
            if isinstance(self.launcher, Interruptible):
                self.launcher.interrupt()
            raise
        if self.error:
            raise self.error

    def work_guarded(self) -> None:
        """Run trials; an error ends the search once the current jobs of the other threads have ended."""
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
                if sentence := self.estimate.count(trial.number):
                    CONSOLE.print(sentence)

    def ask(self) -> Trial | None:
        """Return the next trial; None if no more are needed."""
        with self.lock:
            if self.n_left <= 0:
                return None
            self.n_left -= 1
            return self.study.ask(self.space)

    def launch(self, trial: Trial) -> list[float] | None:
        """Run the trial and return its objectives; None if it failed or was pruned."""
        overrides = [*self.overrides, *(f"{key}={value}" for key, value in trial.params.items())]
        try:
            (job,) = self.launcher.launch([overrides], initial_job_idx=trial.number)
        except Exception as error:
            if not job_link(self.folder, trial).exists():  # the job never started, and no other would
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
        except RuntimeError:  # the grid sampler has no combination left; the trial itself is recorded
            self.study.set_user_attr(EXHAUSTED, True)
            self.n_left = 0
