"""What a search found: the best trial or the Pareto front, against the defaults; printed, and kept in `best.json`.

    {"objective": "val/rmse", "of": 20, "trial": 7, "value": 1.13, "params": {"model.lr": 0.02}, "run": "../../…"}

With several objectives, it lists the trials of the Pareto front:

    {"objective": ["val/rmse", "val/coverage@10"], "of": 20, "front": [{"trial": 7, "values": {…}, …}, …]}
"""

import json
import os
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.markup import escape
from rich.table import Table

from anirec.atomic import write_text
from anirec.metrics.names import lower_is_better
from anirec.report.settings import brief, told
from anirec.sweeps.trials import DEFAULTS, ENDED, link
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
    return " ".join(f"{told(key)}={brief(value)}" for key, value in trial.params.items())


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
