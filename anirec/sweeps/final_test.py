"""A chosen run, measured on the test set: as it is, from its checkpoint, or trained anew on validation rows, too."""

import json
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from anirec.atomic import write_text
from anirec.config.identity import identity_of
from anirec.errors import UserError
from anirec.inference.reproduce import config_of, epochs_of, perform_again
from anirec.inference.trust import CHECKPOINTS
from anirec.metrics.names import objectives
from anirec.report.runs import Run, read_run
from anirec.tracking.callbacks import LastAndBest
from anirec.tracking.folders import new_folder

ASIDE = ".testing"  # in a run's folder, until the test figures are there
NOT_MOVED = frozenset({"checkpoints", "config.yaml", "history.csv", "provenance.json", "status.json"})
METRICS = "metrics.json"
NOT_TOUCHED = "wandb"  # keeps links in there itself


def measured(run: Run, *, trust: bool, console: Console) -> Run:
    """The run, with test metrics: its last checkpoint is taken up, and nothing is trained.

    The results are made aside and then put in the place of the old ones; config, history and costs stay what they were.

    Raises:
        UserError: Its folder holds links, its checkpoint is not the last, or its data are not what they were.
    """
    check_links(run.folder)
    config = config_of(run, trust=trust)
    config.resume = True
    config.trainer.max_epochs = epochs_of(run.folder / "checkpoints" / "last.ckpt")  # also if it stopped early
    config.callbacks.untrained = {"_target_": "anirec.inference.reproduce.Untrained"}
    config.trainer.devices, config.trainer.strategy, config.trainer.num_nodes = 1, "auto", 1
    aside = run.folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "checkpoints").mkdir(parents=True)
    for checkpoint in (run.folder / "checkpoints").glob("*.ckpt"):
        LastAndBest.link(checkpoint, aside / "checkpoints" / checkpoint.name)
    done = perform_again(config, aside, run, identity=identity_of(config), title="test")
    if done.provenance["split"]["fingerprint"] != run.split["fingerprint"]:
        raise UserError(f"{run.folder}: the data, or how they are split, are not what it was trained on; not tested.")
    for name in objectives(run.config["objective"]):
        before, now = (metrics[name] for metrics in (run.metrics, done.metrics))
        if not np.isclose(before, now, rtol=1e-6):
            told = f"{name} was {before}, and is {now} when measured again: this device or code differs."
            console.print(Text(told, style="yellow"))
    results = [
        path for path in aside.rglob("*") if path.is_file() and path.relative_to(aside).parts[0] not in NOT_MOVED
    ]
    for path in sorted(results, key=lambda path: path.name == METRICS):  # last: with it, the run is tested
        place = run.folder / path.relative_to(aside)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
    told_of_test = {key: done.provenance[key] for key in ("git", "versions", "device", "wall_seconds")}
    write_text(run.folder / "provenance.json", json.dumps({**run.provenance, "tested": told_of_test}, indent=2) + "\n")
    shutil.rmtree(aside)
    return read_run(run.folder)


def check_links(folder: Path) -> None:
    """Refuse a run that links to elsewhere: what is written into it would land there."""
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links := [path for path in links if path.relative_to(folder).parts[0] != NOT_TOUCHED]:
        raise UserError(f"{links[0]}: a symbolic link, and a run's folder holds files only; not tested.")


def refitted(run: Run, *, trust: bool) -> Run:
    """The same configuration, trained on training and validation rows for as many epochs as the best model had seen.

    Raises:
        UserError: Its split holds nothing out for validation that could be given back; or it needs several processes.
    """
    config = config_of(run, trust=trust)
    if "val" not in config.split:
        raise UserError(f"split={run.split_name} has no share for validation (split.val): it cannot be refitted.")
    if config.trainer.get("strategy"):
        raise UserError("Runs of several processes cannot be refitted; use trainer=auto, or select without refit.")
    checkpoints = run.folder / "checkpoints"
    epochs = epochs_of(
        next((path for path in (checkpoints / "best.ckpt",) if path.exists()), checkpoints / "last.ckpt")
    )
    config.split.val = type(config.split.val)(0)
    config.objective = None
    config.tags = [*(config.get("tags") or []), "refit"]
    for name, node in list(config.callbacks.items()):
        if node["_target_"] == CHECKPOINTS:
            node.objective = None
        elif "objective" in node:  # nothing is left to watch
            del config.callbacks[name]
    if epochs < config.trainer.max_epochs:
        config.callbacks.until = {"_target_": "anirec.tracking.callbacks.Until", "epochs": epochs}
    identity = identity_of(config)
    path = new_folder(run.folder.parent, identity.run)
    perform_again(config, path, run, identity=identity, title="refit", refits=str(run.folder))
    return read_run(path)
