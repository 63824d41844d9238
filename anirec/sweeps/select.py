"""`anirec select`: choose the configuration with the best validation metric, and evaluate it on the test set.

`selection.json` in the folder of the sweep records the choice, the number of candidates, and each time ("look") that
the test set was read:

    {"metric": "val/rmse", "refit": false, "chosen": "svd n_factors=20", "runs": ["../../mal_2016/svd/…", …],
     "configurations": 6, "n_runs": 18, "n_pruned": 0, "val": {"mean": 1.13, "std": 0.002, "values": [1.132, …]},
     "test": {"test/rmse": {"mean": 1.14, …, "interval": [1.13, 1.15]}, …},
     "tested": ["../../mal_2016/svd/…", …], "looks": [{"metric": "val/rmse", …, "at": "2026-11-22 06:42:16"}]}
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from anirec.atomic import write_text
from anirec.errors import UserError
from anirec.printable import Console
from anirec.report import formatting as cells
from anirec.report.intervals import intervals
from anirec.report.runs import Run, read_run, read_runs
from anirec.report.selection import Selection, select_configuration, show_ranking


def select(
    sweep: Path, *, metric: str | None = None, refit: bool = False, trust: bool = False, console: Console | None = None
) -> None:
    """Choose a configuration by validation, evaluate it on the test set, print both, and write `selection.json`.

    Args:
        sweep: A folder of runs.
        metric: A validation metric; None for the runs' objective.
        refit: Retrain the chosen configuration on training and validation rows.
        trust: Allow configs to load code from outside anirec.
        console: Where to print; None for stdout.

    Raises:
        UserError: There is nothing to choose from, or the chosen runs cannot be evaluated.
    """
    console = console or Console()
    runs = [run for run in read_runs([sweep]) if "refits" not in run.provenance]
    chosen = select_configuration(runs, metric)
    show_ranking(console, chosen)
    looks = read_looks(sweep)
    members = chosen.chosen.members
    known = [look for look in looks if look["refit"] == refit and look["runs"] == relative_folders(members, sweep)]
    tested = earlier_refits(known, sweep) if refit else [run for run in members if is_tested(run)]
    if len(tested) < len(members):
        from anirec.sweeps import final_test  # imports Lightning

        tested = [
            final_test.refit_run(run, trust=trust)
            if refit
            else (run if is_tested(run) else final_test.evaluate_on_test(run, trust=trust, console=console))
            for run in members
        ]
    look = {
        "metric": chosen.metric,
        "refit": refit,
        "chosen": chosen.chosen.description,
        "runs": relative_folders(members, sweep),
    }
    if not known:
        looks = [*looks, {**look, "tested": relative_folders(tested, sweep), "at": time.strftime("%Y-%m-%d %H:%M:%S")}]
    content = {**look, **selection_figures(chosen, tested), "tested": relative_folders(tested, sweep), "looks": looks}
    write_text(sweep / "selection.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print_selection(console, chosen, tested, content)
    print_cautions(console, chosen, runs, tested, len(looks))


def read_looks(sweep: Path) -> list[dict[str, Any]]:
    """Return the earlier selections that read the test set."""
    path = sweep / "selection.json"
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["looks"]) if path.exists() else []
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} is damaged. Move it away; the record of how often the test set was read is then lost."
        ) from None


def earlier_refits(known: Sequence[dict[str, Any]], sweep: Path) -> list[Run]:
    """Return the refits of an earlier, equal selection; empty unless all of them have finished."""
    found = [read_run((sweep.resolve() / path).resolve()) for look in known[-1:] for path in look["tested"]]
    return found if all(run.state == "finished" for run in found) else []


def is_tested(run: Run) -> bool:
    return any(name.startswith("test/") for name in run.metrics)


def selection_figures(choice: Selection, tested: Sequence[Run]) -> dict[str, Any]:
    """Return the numbers of candidates, and the validation and test metrics of the choice."""
    names = [name for name in tested[0].metrics if name.startswith("test/") and all(name in r.metrics for r in tested)]
    test = {name: describe_values([run.metrics[name] for run in tested]) for name in names}
    headline = to_test_metric(choice.metric)
    for name, ends in intervals(tested, [headline] if headline in names else []).items():
        test[name]["interval"] = list(ends)
    return {
        "configurations": choice.n_configurations,
        "n_runs": choice.n_runs,
        "n_pruned": choice.n_pruned,
        "val": describe_values([run.metrics[choice.metric] for run in choice.chosen.members]),
        "test": test,
    }


def describe_values(values: list[float]) -> dict[str, Any]:
    """Return the mean, the standard deviation (None for a single value) and the values."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": values}


def to_test_metric(metric: str) -> str:
    """Return the test metric of a validation metric.

    >>> to_test_metric("val/rmse")
    'test/rmse'
    """
    return f"test/{metric.partition('/')[2]}"


def relative_folders(runs: Sequence[Run], sweep: Path) -> list[str]:
    """Return the folders of runs, relative to that of the sweep."""
    return [os.path.relpath(run.folder, sweep.resolve()) for run in runs]


def print_selection(console: Console, choice: Selection, tested: Sequence[Run], content: dict[str, Any]) -> None:
    pruned = f", {choice.n_pruned} of them pruned" if choice.n_pruned else ""
    n = choice.n_configurations
    of = f"{n} configuration{'s' * (n != 1)} ({choice.n_runs} run{'s' * (choice.n_runs != 1)}{pruned})"
    console.print(
        Text(f"Chosen by {choice.metric} from {of}: {choice.chosen.description}", style="bold"), soft_wrap=True
    )
    for run in tested:
        console.print(Text(f"  {run.folder}"), soft_wrap=True)
    test = content["test"]
    name = to_test_metric(choice.metric)
    for printed in [name] if name in test else list(test)[:1]:
        found, places = test[printed], cells.decimals([test[printed]["mean"]])
        ends = f" ({cells.interval(tuple(found['interval']), places)})" if "interval" in found else ""
        after = ", retrained on training and validation rows" if content["refit"] else ""
        mean = cells.spread(found["mean"], found["std"], places)
        console.print(f"{printed} {mean}{ends}{after}", highlight=False, soft_wrap=True)


def print_cautions(
    console: Console, choice: Selection, runs: Sequence[Run], tested: Sequence[Run], n_looks: int
) -> None:
    """Print the limits of the validation and test metrics."""

    def caution(message: str, style: str) -> None:
        console.print(message, style=style, soft_wrap=True)

    members = choice.chosen.members
    if choice.n_configurations > 1:
        caution(f"The validation metric is optimistic: it is the best of {choice.n_configurations}.", "dim")
        if len({run.split["fingerprint"] for run in members}) > 1:
            caution(
                "The test metric is slightly optimistic: test rows of one split are validation rows of another.", "dim"
            )
    if others := [run for run in runs if is_tested(run) and run.folder not in {one.folder for one in members}]:
        caution(
            f"Not used: {cells.counted(len(others), 'other run')} with test metrics (the sweep ran without select).",
            "dim",
        )
    if unfinished := [run for run in runs if run.state not in ("finished", "pruned")]:
        caution(f"Runs that have not finished: {len(unfinished)}; they could not be chosen.", "yellow")
    if n_looks > 1:
        caution(f"The test set has been read {n_looks} times for this sweep; report the first, or all.", "yellow")
    n_then, n_now = (sum(run.split["n_test"] for run in some) for some in (members, tested))
    if n_then != n_now:
        caution(
            f"After the refit, the test set has {n_now} rows instead of {n_then}; do not compare it with other runs.",
            "yellow",
        )
