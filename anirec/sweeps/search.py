"""Hyper-parameter searches: Optuna proposes trials, Hydra's launcher runs them as jobs, a study stores the results.

The folder of a search holds `study.db` (Optuna's database), a link to the run of each finished or pruned trial, and
`best.json`: the best trial, or the Pareto front of several objectives.
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
from anirec.config.compose import pin, to_dict
from anirec.config.identity import identity_of
from anirec.config.search_space import check_search, default_values, distribution, fixed_overrides, search_space
from anirec.errors import UserError
from anirec.metrics.names import lower_is_better, minimized, objectives
from anirec.report.formatting import brief, differing_keys, short_key
from anirec.sweeps.trials import DEFAULTS, ENDED, EXHAUSTED, Space, Workers, job_link
from anirec.tracking.callbacks import storage_url
from anirec.tracking.console import CONSOLE, relative_path

OTHERS = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def print_results(study: optuna.Study, folder: Path, names: list[str]) -> None:
    """Print the best trial or the Pareto front, compare it with the defaults, and write `best.json`."""
    trials = study.get_trials(deepcopy=False)
    n = {state: sum(trial.state == state for trial in trials) for state in (*ENDED, TrialState.FAIL)}
    if not n[TrialState.COMPLETE]:
        CONSOLE.print("No trial finished.")
        return
    others = "".join(f", {n[state]} {word}" for state, word in OTHERS.items() if n[state])
    best = study.best_trials
    content: dict[str, Any] = {"objective": names if len(names) > 1 else names[0], "of": n[TrialState.COMPLETE]}
    records = [trial_record(trial, folder, names) for trial in best]
    content |= {"front": records} if len(names) > 1 else records[0]
    write_text(folder / "best.json", json.dumps(content, indent=2) + "\n")
    counted = f"of {n[TrialState.COMPLETE]} trials{others}"
    if len(names) > 1:
        CONSOLE.print(f"[bold]Pareto front[/] {counted}: {len(best)} trials that no other trial dominates")
        CONSOLE.print(front_table(best, names))
    else:
        CONSOLE.print(f"[bold]Best[/] {counted}: trial {best[0].number}, {escape(format_settings(best[0]))}")
        CONSOLE.print(f"  {escape(relative_path(job_link(folder, best[0]).resolve()))}")
    CONSOLE.print(compare_with_defaults(trials, best, names))


def trial_record(trial: FrozenTrial, folder: Path, names: list[str]) -> dict[str, Any]:
    """Return the entry of a trial in `best.json`."""
    run = os.path.relpath(job_link(folder, trial).resolve(), folder)
    values = {"value": trial.values[0]} if len(names) == 1 else {"values": dict(zip(names, trial.values, strict=True))}
    return {"trial": trial.number, **values, "params": trial.params, "run": run}


def format_settings(trial: FrozenTrial) -> str:
    return " ".join(f"{short_key(key)}={brief(value)}" for key, value in trial.params.items())


def front_table(trials: list[FrozenTrial], names: list[str]) -> Table:
    """Return the trials of a Pareto front as a table, sorted by the first objective, best first."""
    arrows = ["↓" if lower_is_better(name) else "↑" for name in names]
    table = Table(
        "trial", *(f"{name} {arrow}" for name, arrow in zip(names, arrows, strict=True)), "settings", box=None
    )
    sign = 1 if lower_is_better(names[0]) else -1
    for trial in sorted(trials, key=lambda trial: sign * trial.values[0]):
        label = f"{trial.number}{' (defaults)' if trial.user_attrs.get(DEFAULTS) else ''}"
        table.add_row(label, *(f"{value:.4f}" for value in trial.values), escape(format_settings(trial)))
    return table


def compare_with_defaults(trials: list[FrozenTrial], best: list[FrozenTrial], names: list[str]) -> str:
    """Return a line that compares the best trials with the trial of the default values."""
    first = next((t for t in reversed(trials) if t.user_attrs.get(DEFAULTS) and t.state == TrialState.COMPLETE), None)
    if first is None:
        return "The trial with the default values did not finish, so the search cannot be compared with it."
    if len(names) > 1:
        values = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, first.values, strict=True))
        place = "on the Pareto front" if first in best else "not on the Pareto front"
        return f"Default values (trial {first.number}): {values}; {place}."
    (value,), (default,) = best[0].values, first.values
    of_defaults = f"defaults {default:.4f} (trial {first.number})"
    if value == default:
        return f"{names[0]}: {of_defaults}; no trial was better."
    gain = abs(value - default)
    return f"{names[0]}: best {value:.4f} (trial {best[0].number}), {of_defaults}: {gain:.4f} better."


def search(config: DictConfig, *, launcher: Callable[[], Launcher]) -> None:
    """Start or continue the study of a config, run the remaining trials, and print the results.

    Args:
        config: Config of the multirun, including Hydra's section.
        launcher: Creates the configured launcher.

    Raises:
        UserError: The search settings are invalid, another process uses the study, or the study is of another search.
    """
    names = objectives(config.objective)
    if not names:
        raise UserError("objective=null: a search needs a validation metric as its objective")
    if problems := check_search(config, varied_keys(config)):
        raise UserError("\n".join(problems))
    choices = config.hydra.runtime.choices
    folder = Path(config.paths.outputs).resolve() / "searches"
    folder /= str(config.search.study or f"{choices['dataset']}_{choices['model']}")
    folder.mkdir(parents=True, exist_ok=True)
    distributions = {key: distribution(key, text) for key, text in varied_keys(config).items()}
    with lock_study(folder):  # before the database exists: two processes must not create it at the same time
        study = open_study(config, folder, distributions)
        n_ended = len(study.get_trials(deepcopy=False, states=ENDED))
        n_left = 0 if study.user_attrs.get(EXHAUSTED) else max(0, config.search.n_trials - n_ended)
        progress = f"{n_ended} of {config.search.n_trials} trials done, {n_left} left"
        CONSOLE.print(f"[bold]search[/] {escape(relative_path(folder))}: {progress}")
        if len(names) > 1:
            CONSOLE.print(f"{len(names)} objectives: trials are not pruned; {names[0]} chooses the checkpoints.")
        pin(config, "hydra.sweep.dir", folder)
        if config.search.at_once > 1 and config.hydra.launcher.get("n_jobs") == -1:
            config.hydra.launcher.n_jobs = config.search.at_once  # one process per concurrent trial
        overrides = fixed_overrides(config.hydra.overrides.task)
        Workers(study, distributions, folder, launcher(), overrides).run(n_left, at_once=config.search.at_once)
        print_results(study, folder, names)


def open_study(config: DictConfig, folder: Path, distributions: Space) -> optuna.Study:
    """Create or load the study. A new one starts with the default values; trials of a killed search are repeated."""
    study = optuna.create_study(
        storage=storage_url(folder),
        study_name=folder.name,
        directions=["minimize" if minimized(name) else "maximize" for name in objectives(config.objective)],
        load_if_exists=True,
    )
    check_same_search(study, search_identity(config))
    study.set_metric_names(objectives(config.objective))  # for the dashboard
    begun = study.get_trials(deepcopy=False)
    sampler = config.search.sampler
    if "seed" in sampler:
        # A new seed, as the sampler would otherwise propose its first trials again.
        sampler = {**to_dict(sampler), "seed": config.search.seed + len(begun)}
    study.sampler = instantiate(sampler)
    if not begun:
        values, notes = default_values(config, distributions)
        for note in notes:
            CONSOLE.print(escape(note))
        study.enqueue_trial(values, user_attrs={DEFAULTS: True})
    close_killed_trials(study, folder)
    return study


def varied_keys(config: DictConfig) -> dict[str, str]:
    """Return the range of each key that the search varies."""
    return search_space(config.hydra.sweeper.params or {}, config.hydra.overrides.task)


def search_identity(config: DictConfig) -> dict[str, Any]:
    """Return fixed settings and varied ranges, as in `{"model.epochs": 20.0, "model.lr": "interval(0.01,0.1)"}`."""
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = identity_of(ours)
    return {**found.settings, **found.replicate, **varied_keys(config)}


def check_same_search(study: optuna.Study, wanted: dict[str, Any]) -> None:
    """Store the identity of this search in a new study, or compare it with the stored one.

    Raises:
        UserError: The study is of another search.
    """
    begun = study.user_attrs.get("identity")
    wanted = json.loads(json.dumps(wanted, default=str))
    if begun is not None and (keys := differing_keys([begun, wanted])):
        lines = [f"  {key}: {begun.get(key, 'absent')} then, {wanted.get(key, 'absent')} now" for key in keys]
        message = "\n".join([f"The study {study.study_name} belongs to a different search:", *lines])
        raise UserError(
            f"{message}\nChoose another name with search.study=NAME, or move the folder of the old study away."
        )
    study.set_user_attr("identity", wanted)


def lock_study(folder: Path) -> BaseFileLock:
    """Lock a study against other processes, until the lock is released or this process ends.

    Raises:
        UserError: Another process holds the lock.
    """
    lock, holder = FileLock(folder / ".lock", blocking=False), folder / ".process"
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text() if holder.exists() else "Another process"
        raise UserError(f"{who} is running the study {folder.name}.") from None
    write_text(holder, f"Process {os.getpid()} on {platform.node()}")
    return lock


def close_killed_trials(study: optuna.Study, folder: Path) -> None:
    """Mark the trials of killed processes as failed, enqueue their values again, and remove the links to failed runs.

    This process holds the lock of the study, so that a trial in the state "running" is one of a killed process.
    """
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(
                trial.params, {key: trial.user_attrs[key] for key in trial.user_attrs if key == DEFAULTS}
            )
        if trial.state not in ENDED:
            job_link(folder, trial).unlink(missing_ok=True)
