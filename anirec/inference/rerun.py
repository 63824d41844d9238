"""A finished run's config, run again: elsewhere, later, perhaps by somebody else."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer

from anirec.config.compose import conf_folder, plain
from anirec.config.identity import Identity, moved
from anirec.errors import UserError
from anirec.inference.trust import CHECKPOINTS, check_run
from anirec.report.runs import Run
from anirec.run import perform
from anirec.tracking.console import quiet, show_failure
from anirec.tracking.run_folder import RunFolder

HISTORY = {"_target_": "anirec.tracking.loggers.HistoryLogger", "folder": "${run.folder}"}
KEPT = ("dataset", "model", "trainer", "seed", "choices", "overrides")  # of provenance, as known before a run


def config_of(run: Run, *, trust: bool) -> DictConfig:
    """The run's config, with its own folder, today's cache and outputs, and history.csv as the only logger.

    The data are looked for where they were, and if that folder is gone, where anirec looks by default. What a search
    has added is left out.

    Args:
        run: Finished.
        trust: Let it name code that is no part of anirec.

    Raises:
        UserError: It is no config of a run, or names what must not be called.
    """
    try:
        config = plain(OmegaConf.load(run.folder / "config.yaml"), resolve=False)
        if strange := [text for text in strings(config) if "${" in text]:
            # What a run stores is resolved: this would be resolved later, into anything.
            raise UserError(f"{run.folder / 'config.yaml'}: {strange[0]} is not resolved; it is not run")
        config["callbacks"] = {name: node for name, node in config["callbacks"].items() if name != "prune"}
        if not trust:
            check_run(config)
        data, folder = config["paths"]["data"], config["run"]["folder"]
        config["dataset"] = moved(config["dataset"], data, "${paths.data}")
        config["callbacks"] = moved(config["callbacks"], folder, "${run.folder}")
        for node in config["callbacks"].values():
            if node["_target_"] == CHECKPOINTS:
                node["folder"] = "${run.folder}/checkpoints"
        here = plain(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)["paths"]
        config["paths"] = {**here, "data": data} if Path(data).is_dir() else here
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{run.folder / 'config.yaml'}: not the config of a run: {error!r}") from None
    always = {"logger": {"history": HISTORY}, "run": {"folder": "???", "name": "???", "sweep": None}}
    return OmegaConf.create({**config, **always, "resume": False, "select": None, "search": None})


def strings(node: Any) -> list[str]:
    """All text in it, keys included."""
    if isinstance(node, dict):
        return [text for part in (*node, *node.values()) for text in strings(part)]
    if isinstance(node, list):
        return [text for part in node for text in strings(part)]
    return [node] if isinstance(node, str) else []


def epochs_of(checkpoint: Path) -> int:
    """How many epochs its model has learned.

    Raises:
        UserError: It is not there, or damaged.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(content["epoch"]) + 1
    except Exception as error:
        raise UserError(f"{checkpoint}: missing or damaged: {error}") from None


def perform_again(config: DictConfig, path: Path, run: Run, *, identity: Identity, told: str, **said: Any) -> RunFolder:
    """Run it in that folder. `said` goes into provenance, with what it says of `run`.

    Raises:
        UserError: It failed.
    """
    quiet()
    about = {
        **{key: run.provenance.get(key) for key in KEPT},
        "sweep": None,
        "tags": list(config.get("tags") or []),
        "objective": plain(config, resolve=False)["objective"],
        "identity": identity.record(),
        **said,
    }
    try:
        return perform(config, path, about=about, told=told)
    except UserError:
        raise
    except Exception as error:
        show_failure(path, error)
        raise UserError(f"{run.folder.name} could not be run again") from None


class Untrained(Callback):
    """Let nothing be trained: a checkpoint can say that less was learned than it counts epochs."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise UserError("checkpoints/last.ckpt is not the end of its training; it is not trained on, and not tested.")
