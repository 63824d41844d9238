"""Optuna searches: a study begun, or gone on with; in the end, what was best.

A study is a folder: `study.db`, which is Optuna's, a link to the run of every trial that came to a result, and
`best.json`. A trial that was ended early counts as one with the result that it had by then, marked `pruned`.
"""

import json
import logging
import os
import platform
import sys
from pathlib import Path
from typing import Any, ClassVar, cast

import optuna
from filelock import BaseFileLock, FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape

from anirec.atomic import write_text
from anirec.composing.composition import pin
from anirec.composing.identity import identity_of
from anirec.composing.space import space, unsearchable
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better
from anirec.report.settings import brief, differing, told
from anirec.sweeps.jobs import FIRST_JOB
from anirec.tracking.console import CONSOLE, show_failure, shown
from anirec.tracking.pruning import storage

EXIT_USAGE = 2
optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(
    logging.CRITICAL
)  # the end tells of failures, in words


class Search(Callback):
    """What Hydra calls before the first trial, and after the last.

    Hydra makes a warning of an error here; a search would then go on without its study.
    """

    lock: ClassVar[BaseFileLock | None] = None  # not the instance's, which goes to jobs in other processes

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        try:
            prepare(config)
        except Exception as error:
            show_failure(None, error)
            sys.exit(EXIT_USAGE)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        try:
            show_best(Path(config.hydra.sweep.dir), objective=config.objective)
        except Exception as error:
            show_failure(None, error)
            sys.exit(1)


def prepare(config: DictConfig) -> None:
    """Begin the study, or go on with it, and tell the sweeper what is left to do.

    Raises:
        UserError: There is no objective, or a setting that no search can work with; or the study is another's, or at
            work.
    """
    if config.objective is None:
        raise UserError("objective=null: a search needs a validation metric to choose by")
    if problems := unsearchable(config, varied(config)):
        raise UserError("\n".join(problems))
    choices = config.hydra.runtime.choices
    folder = Path(config.paths.outputs).resolve() / "studies"
    folder /= str(config.search.study or f"{choices['dataset']}_{choices['model']}")
    folder.mkdir(parents=True, exist_ok=True)
    Search.lock = hold(folder)  # before there is a database: two that make it at once spoil it
    study = optuna.create_study(
        storage=storage(folder),
        study_name=folder.name,
        direction="minimize" if lower_is_better(config.objective) else "maximize",
        load_if_exists=True,
    )
    take_over(study, identity(config))
    close_killed(study, folder)
    begun = len(study.get_trials(deepcopy=False))
    ended = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    left = max(0, config.search.n_trials - ended)
    CONSOLE.print(
        f"[bold]study[/] {escape(shown(folder))}: {ended} of {config.search.n_trials} trials done, {left} to go"
    )
    if config.search.at_once == 1 and left > 1 and choices["hydra/launcher"] not in ("basic", None):
        CONSOLE.print("One trial at a time; search.at_once=4 keeps four processes at work.")
    pin(config, "hydra.sweep.dir", folder)
    pin(config, f"hydra.job.env_set.{FIRST_JOB}", begun)
    sweeper = config.hydra.sweeper
    with open_dict(sweeper):
        sweeper.storage, sweeper.study_name, sweeper.n_trials = storage(folder), folder.name, left
        sweeper.direction = study.direction.name.lower()
        if "seed" in sweeper.sampler:
            sweeper.sampler.seed = config.search.seed + begun  # not the proposals of the beginning again


def identity(config: DictConfig) -> dict[str, Any]:
    """What all trials share, and what they vary: `{"model.epochs": 20, "model.lr": "interval(0.01,0.1)"}`."""
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = identity_of(ours)
    return {**found.settings, **found.replicate, **varied(config)}


def varied(config: DictConfig) -> dict[str, str]:
    return space(config.hydra.sweeper.params or {}, config.hydra.overrides.task)


def hold(folder: Path) -> BaseFileLock:
    """Keep other processes from a study until the lock is released, or this process is gone.

    Raises:
        UserError: Another process is at work on it.
    """
    lock, holder = FileLock(folder / ".lock", blocking=False), folder / ".process"
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text() if holder.exists() else "Another process"
        raise UserError(f"{who} is at work on the study {folder.name}.") from None
    write_text(holder, f"Process {os.getpid()} on {platform.node()}")
    return lock


def take_over(study: optuna.Study, wanted: dict[str, Any]) -> None:
    """Make the study one for this search.

    Raises:
        UserError: It searched something else.
    """
    begun = study.user_attrs.get("identity")
    wanted = json.loads(json.dumps(wanted, default=str))
    if begun is not None and (keys := differing([begun, wanted])):
        lines = [f"  {key}: {begun.get(key, 'not there')} then, {wanted.get(key, 'not there')} now" for key in keys]
        told = "\n".join([f"The study {study.study_name} searched something else:", *lines])
        raise UserError(f"{told}\nGive this one another name, search.study=NAME, or move that one's folder away.")
    study.set_user_attr("identity", wanted)


def close_killed(study: optuna.Study, folder: Path) -> None:
    """Give up trials whose process was killed; they, and those that failed, no longer belong to the study's runs."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.state != TrialState.COMPLETE:
            (folder / f"{trial.number:04d}").unlink(missing_ok=True)


def show_best(folder: Path, *, objective: str) -> None:
    """The best trial in three lines, and in `best.json`."""
    study = optuna.load_study(study_name=folder.name, storage=storage(folder))
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = best_of(ended, minimize=lower_is_better(objective))
    if best is None:
        CONSOLE.print("No trial came to a result.")
        return
    run = (folder / f"{best.number:04d}").resolve()
    settings = " ".join(f"{told(key)}={brief(value)}" for key, value in best.params.items())
    CONSOLE.print(f"[bold]best of {len(ended)}[/] trial {best.number}: {objective} {best.value:.4f}")
    CONSOLE.print(f"  {escape(settings)}")
    CONSOLE.print(f"  {escape(shown(run))}")
    content: dict[str, Any] = {"objective": objective, "value": best.value, "of": len(ended), "trial": best.number}
    content |= {"params": best.params, "run": os.path.relpath(run, folder)}
    write_text(folder / "best.json", json.dumps(content, indent=2) + "\n")


def best_of(trials: list[FrozenTrial], *, minimize: bool) -> FrozenTrial | None:
    """Of those that ran to their end."""
    sign = 1 if minimize else -1
    whole = [trial for trial in trials if not trial.user_attrs.get("pruned")]
    return min(whole, key=lambda trial: sign * cast(float, trial.value), default=None)
