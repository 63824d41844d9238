"""`anirec select`: the configuration that validates best, and what it does on the test set.

`selection.json` in the sweep's folder says what was chosen, of how many, and every look at the test set so far:

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
from rich.console import Console
from rich.text import Text

from anirec.atomic import write_text
from anirec.errors import UserError
from anirec.report import formatting as cells
from anirec.report.intervals import intervals
from anirec.report.runs import Run, read_run, read_runs
from anirec.report.selection import Selection, select_configuration, show_ranking
from anirec.sweeps.final_test import measured, refitted


def select(
    sweep: Path, *, metric: str | None = None, refit: bool = False, trust: bool = False, console: Console | None = None
) -> None:
    """Choose by validation, measure the choice on the test set, print both, and write `selection.json`.

    Args:
        sweep: A folder of runs.
        metric: A validation metric; None for the runs' objective.
        refit: Train the chosen configuration anew on training and validation rows.
        trust: Let the runs' configs name code that is no part of anirec.
        console: Where to print.

    Raises:
        UserError: There is nothing to choose from, or what was chosen cannot be measured.
    """
    console = console or Console()
    runs = [run for run in read_runs([sweep]) if "refits" not in run.provenance]
    chosen = select_configuration(runs, metric)
    show_ranking(console, chosen)
    looks = looks_of(sweep)
    members = chosen.chosen.members
    known = [look for look in looks if look["refit"] == refit and look["runs"] == relative(members, sweep)]
    if refit:
        tested = again_readable(known, sweep) or [refitted(run, trust=trust) for run in members]
    else:
        tested = [run if is_tested(run) else measured(run, trust=trust, console=console) for run in members]
    look = {"metric": chosen.metric, "refit": refit, "chosen": chosen.chosen.label, "runs": relative(members, sweep)}
    if not known:
        looks = [*looks, {**look, "tested": relative(tested, sweep), "at": time.strftime("%Y-%m-%d %H:%M:%S")}]
    content = {**look, **summary(chosen, tested), "tested": relative(tested, sweep), "looks": looks}
    write_text(sweep / "selection.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    show_selection(console, chosen, tested, content)
    show_cautions(console, chosen, runs, tested, len(looks))


def looks_of(sweep: Path) -> list[dict[str, Any]]:
    """At the test set, by earlier selections."""
    path = sweep / "selection.json"
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["looks"]) if path.exists() else []
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: damaged. Move it away; how often the test set was read is then forgotten.") from None


def again_readable(known: Sequence[dict[str, Any]], sweep: Path) -> list[Run]:
    """The refits of an earlier selection of the same; none if they are not all there."""
    found = [read_run((sweep.resolve() / path).resolve()) for look in known[-1:] for path in look["tested"]]
    return found if all(run.state == "finished" for run in found) else []


def is_tested(run: Run) -> bool:
    return any(name.startswith("test/") for name in run.metrics)


def summary(choice: Selection, tested: Sequence[Run]) -> dict[str, Any]:
    """Of how many it is the best, and its figures."""
    names = [name for name in tested[0].metrics if name.startswith("test/") and all(name in r.metrics for r in tested)]
    test = {name: figures([run.metrics[name] for run in tested]) for name in names}
    headline = headline_of(choice.metric)
    for name, ends in intervals(tested, [headline] if headline in names else []).items():
        test[name]["interval"] = list(ends)
    return {
        "configurations": choice.n_configurations,
        "n_runs": choice.n_runs,
        "n_pruned": choice.n_pruned,
        "val": figures([run.metrics[choice.metric] for run in choice.chosen.members]),
        "test": test,
    }


def figures(values: list[float]) -> dict[str, Any]:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": values}


def headline_of(metric: str) -> str:
    return f"test/{metric.partition('/')[2]}"


def relative(runs: Sequence[Run], sweep: Path) -> list[str]:
    """Their folders, as seen from the sweep's."""
    return [os.path.relpath(run.folder, sweep.resolve()) for run in runs]


def show_selection(console: Console, choice: Selection, tested: Sequence[Run], content: dict[str, Any]) -> None:
    pruned = f", {choice.n_pruned} of them pruned" if choice.n_pruned else ""
    n = choice.n_configurations
    of = f"{n} configuration{'s' * (n != 1)} ({choice.n_runs} run{'s' * (choice.n_runs != 1)}{pruned})"
    told = f"chosen of {of}: {choice.chosen.label}"
    console.print(Text(told, style="bold"), soft_wrap=True)
    for run in tested:
        console.print(Text(f"  {run.folder}"), soft_wrap=True)
    test = content["test"]
    name = headline_of(choice.metric)
    for shown in [name] if name in test else list(test)[:1]:
        found, places = test[shown], cells.decimals([test[shown]["mean"]])
        ends = f" ({cells.interval(tuple(found['interval']), places)})" if "interval" in found else ""
        after = ", trained anew on training and validation rows" if content["refit"] else ""
        mean = cells.spread(found["mean"], found["std"], places)
        console.print(f"{shown} {mean}{ends}{after}", highlight=False, soft_wrap=True)


def show_cautions(
    console: Console, choice: Selection, runs: Sequence[Run], tested: Sequence[Run], n_looks: int
) -> None:
    """What a reader must know of these two figures."""

    def say(told: str, style: str) -> None:
        console.print(told, style=style, soft_wrap=True)

    members = choice.chosen.members
    if choice.n_configurations > 1:
        say(f"The validation figure is optimistic, as the best of {choice.n_configurations}.", "dim")
        if len({run.split["fingerprint"] for run in members}) > 1:
            say("Rows that one split tests validated in another: the test figure is slightly optimistic, too.", "dim")
    if others := [run for run in runs if is_tested(run) and run.folder not in {one.folder for one in members}]:
        say(f"{len(others)} other runs were tested, too: the sweep ran without select=best. None was looked at.", "dim")
    if unfinished := [run for run in runs if run.state not in ("finished", "pruned")]:
        say(f"{len(unfinished)} runs have not finished: they could not be chosen, and are not counted.", "yellow")
    if n_looks > 1:
        say(
            f"The test set has now been read {n_looks} times for this sweep: report the first, or all of them.",
            "yellow",
        )
    n_then, n_now = (sum(run.split["n_test"] for run in some) for some in (members, tested))
    if n_then != n_now:
        say(f"Refitted, this split tests {n_now} rows instead of {n_then}: compare it with no other run.", "yellow")
