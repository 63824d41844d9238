"""Test of a chosen run: evaluate its checkpoint, or retrain it on training and validation rows and evaluate that."""

import json
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from anirec.atomic import write_text
from anirec.config.identity import identity_of
from anirec.errors import UserError
from anirec.inference.reproduce import config_of, epochs_of, perform_again, require_checkpoint
from anirec.inference.trust import CHECKPOINTS
from anirec.metrics.names import objectives
from anirec.report.runs import Run, read_run
from anirec.tracking.callbacks import LastAndBest
from anirec.tracking.folders import new_folder

SCRATCH = ".testing"  # subfolder of the run, removed when the test has succeeded
NOT_MOVED = frozenset({"checkpoints", "config.yaml", "history.csv", "provenance.json", "status.json"})
METRICS = "metrics.json"
IGNORED = "wandb"  # W&B creates links there


def evaluate_on_test(run: Run, *, trust: bool, console: Console) -> Run:
    """Evaluate a run on the test set, without further training, and return it with its test metrics.

    Results are written to a subfolder first and then replace the old ones. Config, history and costs are kept.

    Raises:
        UserError: The folder contains links, the last checkpoint is not the end of training, or the data have changed.
    """
    check_links(run.folder)
    config = config_of(run, trust=trust)
    config.resume = True
    config.trainer.max_epochs = epochs_of(
        require_checkpoint(run.folder / "checkpoints" / "last.ckpt")
    )  # also if it stopped early
    config.callbacks.untrained = {"_target_": "anirec.inference.reproduce.Untrained"}
    config.trainer.devices, config.trainer.strategy, config.trainer.num_nodes = 1, "auto", 1
    scratch = run.folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "checkpoints").mkdir(parents=True)
    for checkpoint in (run.folder / "checkpoints").glob("*.ckpt"):
        LastAndBest.link_or_copy(checkpoint, scratch / "checkpoints" / checkpoint.name)
    done = perform_again(config, scratch, run, identity=identity_of(config), title="test", shown=run.folder)
    if done.provenance["split"]["fingerprint"] != run.split["fingerprint"]:
        raise UserError(f"{run.folder}: not tested: its data or split differ from those of the training.")
    for name in objectives(run.config["objective"]):
        before, now = (metrics[name] for metrics in (run.metrics, done.metrics))
        if not np.isclose(before, now, rtol=1e-6):
            message = f"{name} was {before} and is now {now}: the device, code or package versions differ."
            console.print(Text(message, style="yellow"))
    results = [
        path for path in scratch.rglob("*") if path.is_file() and path.relative_to(scratch).parts[0] not in NOT_MOVED
    ]
    for path in sorted(results, key=lambda path: path.name == METRICS):  # metrics.json last: it marks the run as tested
        target = run.folder / path.relative_to(scratch)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    test_provenance = {key: done.provenance[key] for key in ("git", "versions", "device", "wall_seconds")}
    write_text(
        run.folder / "provenance.json", json.dumps({**run.provenance, "tested": test_provenance}, indent=2) + "\n"
    )
    shutil.rmtree(scratch)
    return read_run(run.folder)


def check_links(folder: Path) -> None:
    """Raise a UserError if the folder contains a link: results would be written to its target."""
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links := [path for path in links if path.relative_to(folder).parts[0] != IGNORED]:
        raise UserError(f"not tested: {links[0]} is a symbolic link; a run folder may contain only files.")


def refit_run(run: Run, *, trust: bool) -> Run:
    """Retrain a configuration on training and validation rows, for as many epochs as its best checkpoint.

    Raises:
        UserError: Its split has no validation share; or it needs several processes.
    """
    config = config_of(run, trust=trust)
    if "val" not in config.split:
        raise UserError(f"split={run.split_name} has no validation share (split.val), so the run cannot be retrained.")
    if config.trainer.get("strategy"):
        raise UserError("Runs in several processes cannot be retrained. Use trainer=auto, or select without refit.")
    checkpoints = run.folder / "checkpoints"
    best = checkpoints / "best.ckpt"
    epochs = epochs_of(best if best.exists() else require_checkpoint(checkpoints / "last.ckpt"))
    config.split.val = type(config.split.val)(0)
    config.objective = None
    config.tags = [*(config.get("tags") or []), "refit"]
    for name, node in list(config.callbacks.items()):
        if node["_target_"] == CHECKPOINTS:
            node.objective = None
        elif "objective" in node:  # there is no validation metric to watch
            del config.callbacks[name]
    if epochs < config.trainer.max_epochs:
        config.callbacks.until = {"_target_": "anirec.tracking.callbacks.Until", "epochs": epochs}
    identity = identity_of(config)
    path = new_folder(run.folder.parent, identity.run)
    perform_again(config, path, run, identity=identity, title="refit", refits=str(run.folder))
    return read_run(path)
