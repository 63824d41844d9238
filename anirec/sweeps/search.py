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
from typing import Any, cast

import optuna
import psutil
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape

from anirec.atomic import write_text
from anirec.composing.composition import not_yet_run, pin, plain
from anirec.composing.space import space
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better
from anirec.report.settings import brief, deciding, differing, flat, told
from anirec.sweeps.jobs import FIRST_JOB
from anirec.tracking.console import CONSOLE, shown
from anirec.tracking.folders import is_alive
from anirec.tracking.pruning import storage

EXIT_USAGE = 2
optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(
    logging.CRITICAL
)  # the end tells of failures, in words


class Search(Callback):
    """What Hydra calls before the first trial, and after the last."""

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        try:
            prepare(config)
        except UserError as error:  # Hydra would make a warning of it
            CONSOLE.print(f"anirec: {escape(str(error))}")
            sys.exit(EXIT_USAGE)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        show_best(Path(config.hydra.sweep.dir), objective=config.objective)


def prepare(config: DictConfig) -> None:
    """Begin the study, or go on with it, and tell the sweeper what is left to do.

    Raises:
        UserError: There is no objective; or the study is another's, or at work.
    """
    if config.objective is None:
        raise UserError("objective=null: a search needs a validation metric to choose by")
    choices = config.hydra.runtime.choices
    folder = Path(config.paths.outputs).resolve() / "studies"
    folder /= config.search.study or f"{choices['dataset']}_{choices['model']}"
    folder.mkdir(parents=True, exist_ok=True)
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
    varied = space(config.hydra.sweeper.params or {}, config.hydra.overrides.task)
    return {**dict(flat(deciding(plain(not_yet_run(ours))))), **varied}


def take_over(study: optuna.Study, wanted: dict[str, Any]) -> None:
    """Make the study this process's.

    Raises:
        UserError: It searched something else, or another process is at work on it.
    """
    begun = study.user_attrs.get("identity")
    wanted = json.loads(json.dumps(wanted, default=str))
    if begun is not None and (keys := differing([begun, wanted])):
        lines = [f"  {key}: {begun.get(key, 'not there')} then, {wanted.get(key, 'not there')} now" for key in keys]
        told = "\n".join([f"The study {study.study_name} searched something else:", *lines])
        raise UserError(f"{told}\nGive this one another name, search.study=NAME, or move that one's folder away.")
    other = study.user_attrs.get("process")
    process = {"pid": os.getpid(), "began": psutil.Process().create_time(), "host": platform.node()}
    if other and other["pid"] != process["pid"] and is_alive(other):
        raise UserError(f"Process {other['pid']} on {other['host']} is at work on the study {study.study_name}.")
    study.set_user_attr("identity", wanted)
    study.set_user_attr("process", process)


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
