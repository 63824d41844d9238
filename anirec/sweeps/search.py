"""Searches: Optuna proposes trials, Hydra's launcher runs each as a job, and the study keeps what came of it.

A search has a folder: `study.db`, which is Optuna's, a link to the run of each finished or pruned trial, and
`best.json` (see `anirec.sweeps.search`).
"""

import json
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from filelock import BaseFileLock, FileLock, Timeout
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape
from rich.table import Table

from anirec.atomic import write_text
from anirec.config.compose import pin, plain
from anirec.config.identity import identity_of
from anirec.config.search_space import defaults, distribution, fixed, space, unsearchable
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better, minimized, objectives
from anirec.report.formatting import brief, differing_keys, short_key
from anirec.sweeps.trials import DEFAULTS, ENDED, EXHAUSTED, Space, Workers, link
from anirec.tracking.callbacks import storage
from anirec.tracking.console import CONSOLE, shown

OTHERS = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def show_found(study: optuna.Study, folder: Path, names: list[str]) -> None:
    """Print the best trial, or the Pareto front, against the defaults, and write `best.json`."""
    trials = study.get_trials(deepcopy=False)
    n = {state: sum(trial.state == state for trial in trials) for state in (*ENDED, TrialState.FAIL)}
    if not n[TrialState.COMPLETE]:
        CONSOLE.print("No trial finished.")
        return
    others = "".join(f", {n[state]} {word}" for state, word in OTHERS.items() if n[state])
    best = study.best_trials
    content: dict[str, Any] = {"objective": names if len(names) > 1 else names[0], "of": n[TrialState.COMPLETE]}
    records = [record(trial, folder, names) for trial in best]
    content |= {"front": records} if len(names) > 1 else records[0]
    write_text(folder / "best.json", json.dumps(content, indent=2) + "\n")
    counted = f"of {n[TrialState.COMPLETE]} trials{others}"
    if len(names) > 1:
        CONSOLE.print(
            f"[bold]Pareto front[/] {counted}: {len(best)} that no other beats in one without losing in another"
        )
        CONSOLE.print(front_table(best, names))
    else:
        CONSOLE.print(f"[bold]best[/] {counted}: trial {best[0].number}, {escape(settings_of(best[0]))}")
        CONSOLE.print(f"  {escape(shown(link(folder, best[0]).resolve()))}")
    CONSOLE.print(against_defaults(trials, best, names))


def record(trial: FrozenTrial, folder: Path, names: list[str]) -> dict[str, Any]:
    """What `best.json` says of a trial."""
    run = os.path.relpath(link(folder, trial).resolve(), folder)
    values = {"value": trial.values[0]} if len(names) == 1 else {"values": dict(zip(names, trial.values, strict=True))}
    return {"trial": trial.number, **values, "params": trial.params, "run": run}


def settings_of(trial: FrozenTrial) -> str:
    return " ".join(f"{short_key(key)}={brief(value)}" for key, value in trial.params.items())


def front_table(trials: list[FrozenTrial], names: list[str]) -> Table:
    """Sorted by the first objective, best first."""
    arrows = ["↓" if lower_is_better(name) else "↑" for name in names]
    table = Table(
        "trial", *(f"{name} {arrow}" for name, arrow in zip(names, arrows, strict=True)), "settings", box=None
    )
    sign = 1 if lower_is_better(names[0]) else -1
    for trial in sorted(trials, key=lambda trial: sign * trial.values[0]):
        label = f"{trial.number}{' (defaults)' if trial.user_attrs.get(DEFAULTS) else ''}"
        table.add_row(label, *(f"{value:.4f}" for value in trial.values), escape(settings_of(trial)))
    return table


def against_defaults(trials: list[FrozenTrial], best: list[FrozenTrial], names: list[str]) -> str:
    """One line: what the search gained over the trial with the config's own values."""
    first = next((t for t in reversed(trials) if t.user_attrs.get(DEFAULTS) and t.state == TrialState.COMPLETE), None)
    if first is None:
        return "The trial with the defaults did not finish: there is nothing to compare the search with."
    measured = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, first.values, strict=True))
    of_defaults = f"The defaults (trial {first.number}): {measured}"
    if len(names) > 1:
        return f"{of_defaults}; {'on the front' if first in best else 'not on the front'}."
    if first.values == best[0].values:
        return f"{of_defaults}; no trial was better."
    return f"{of_defaults}; the best, trial {best[0].number}: {best[0].values[0]:.4f}."


optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def search(config: DictConfig, *, launcher: Callable[[], Launcher]) -> None:
    """Start or continue the study of a config, run the trials that it still needs, and print what was found.

    Args:
        config: Of the multirun, with Hydra's part.
        launcher: Makes the configured launcher.

    Raises:
        UserError: The config cannot be searched, another process works on the study, or it searched something else.
    """
    names = objectives(config.objective)
    if not names:
        raise UserError("objective=null: a search needs a validation metric to choose by")
    if problems := unsearchable(config, varied(config)):
        raise UserError("\n".join(problems))
    choices = config.hydra.runtime.choices
    folder = Path(config.paths.outputs).resolve() / "searches"
    folder /= str(config.search.study or f"{choices['dataset']}_{choices['model']}")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {key: distribution(key, text) for key, text in varied(config).items()}
    with hold(folder):  # before there is a database: two processes that create it at the same time spoil it
        study = begin(config, folder, drawn)
        n_ended = len(study.get_trials(deepcopy=False, states=ENDED))
        n_left = 0 if study.user_attrs.get(EXHAUSTED) else max(0, config.search.n_trials - n_ended)
        progress = f"{n_ended} of {config.search.n_trials} trials done, {n_left} to go"
        CONSOLE.print(f"[bold]search[/] {escape(shown(folder))}: {progress}")
        if len(names) > 1:
            CONSOLE.print(f"{len(names)} objectives: no trial is pruned; {names[0]} chooses checkpoints.")
        pin(config, "hydra.sweep.dir", folder)
        if config.search.at_once > 1 and config.hydra.launcher.get("n_jobs") == -1:
            config.hydra.launcher.n_jobs = config.search.at_once  # joblib: one process for each trial
        overrides = fixed(config.hydra.overrides.task)
        Workers(study, drawn, folder, launcher(), overrides).run(n_left, at_once=config.search.at_once)
        show_found(study, folder, names)


def begin(config: DictConfig, folder: Path, drawn: Space) -> optuna.Study:
    """Create or load the study. A new one starts with the config's own values; trials of a killed search run again."""
    study = optuna.create_study(
        storage=storage(folder),
        study_name=folder.name,
        directions=["minimize" if minimized(name) else "maximize" for name in objectives(config.objective)],
        load_if_exists=True,
    )
    take_over(study, identity(config))
    study.set_metric_names(objectives(config.objective))  # what the dashboard calls them
    begun = study.get_trials(deepcopy=False)
    sampler = config.search.sampler
    if "seed" in sampler:
        sampler = {**plain(sampler), "seed": config.search.seed + len(begun)}  # else it repeats its first draws
    study.sampler = instantiate(sampler)
    if not begun:
        values, notes = defaults(config, drawn)
        for note in notes:
            CONSOLE.print(escape(note))
        study.enqueue_trial(values, user_attrs={DEFAULTS: True})
    close_killed(study, folder)
    return study


def varied(config: DictConfig) -> dict[str, str]:
    return space(config.hydra.sweeper.params or {}, config.hydra.overrides.task)


def identity(config: DictConfig) -> dict[str, Any]:
    """What all trials share, and what they vary: `{"model.epochs": 20, "model.lr": "interval(0.01,0.1)"}`."""
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = identity_of(ours)
    return {**found.settings, **found.replicate, **varied(config)}


def take_over(study: optuna.Study, wanted: dict[str, Any]) -> None:
    """Make the study one for this search.

    Raises:
        UserError: It searched something else.
    """
    begun = study.user_attrs.get("identity")
    wanted = json.loads(json.dumps(wanted, default=str))
    if begun is not None and (keys := differing_keys([begun, wanted])):
        lines = [f"  {key}: {begun.get(key, 'not there')} then, {wanted.get(key, 'not there')} now" for key in keys]
        message = "\n".join([f"The study {study.study_name} searched something else:", *lines])
        raise UserError(f"{message}\nGive this one another name, search.study=NAME, or move that one's folder away.")
    study.set_user_attr("identity", wanted)


def hold(folder: Path) -> BaseFileLock:
    """Keep other processes from a study until the lock is released, or this process ends.

    Raises:
        UserError: Another process works on it.
    """
    lock, holder = FileLock(folder / ".lock", blocking=False), folder / ".process"
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text() if holder.exists() else "Another process"
        raise UserError(f"{who} is at work on the study {folder.name}.") from None
    write_text(holder, f"Process {os.getpid()} on {platform.node()}")
    return lock


def close_killed(study: optuna.Study, folder: Path) -> None:
    """Mark trials whose process was killed as failed, and enqueue their values again; unlink the runs of failed ones.

    The lock says that nobody works on the study, so that a running trial is one of a killed process.
    """
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(
                trial.params, {key: trial.user_attrs[key] for key in trial.user_attrs if key == DEFAULTS}
            )
        if trial.state not in ENDED:
            link(folder, trial).unlink(missing_ok=True)
