"""`anirec reproduce`: a finished run once more, from its config alone; which metrics are equal, and what differs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console

from anirec.config.checks import check_config
from anirec.config.compose import conf_folder, did_you_mean, first_line, to_dict
from anirec.config.identity import Identity, flatten, identity_of, replace_folder
from anirec.errors import UserError
from anirec.inference.trust import CHECKPOINTS, check_run
from anirec.report.repetition import show_repetition
from anirec.report.runs import Run, read_run
from anirec.run import choose_folder, is_helper_process, run_experiment
from anirec.tracking.console import print_failure, silence_libraries
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
        config = to_dict(OmegaConf.load(run.folder / "config.yaml"), resolve=False)
        if strange := [text for text in strings(config) if "${" in text]:
            # What a run stores is resolved: this would be resolved later, into anything.
            raise UserError(f"{run.folder / 'config.yaml'}: {strange[0]} is not resolved; it is not run")
        config["callbacks"] = {name: node for name, node in config["callbacks"].items() if name != "prune"}
        if not trust:
            check_run(config)
        data, folder = config["paths"]["data"], config["run"]["folder"]
        config["dataset"] = replace_folder(config["dataset"], data, "${paths.data}")
        config["callbacks"] = replace_folder(config["callbacks"], folder, "${run.folder}")
        for node in config["callbacks"].values():
            if node["_target_"] == CHECKPOINTS:
                node["folder"] = "${run.folder}/checkpoints"
        here = to_dict(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)["paths"]
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
    silence_libraries()
    about = {
        **{key: run.provenance.get(key) for key in KEPT},
        "sweep": None,
        "tags": list(config.get("tags") or []),
        "objective": to_dict(config, resolve=False)["objective"],
        "identity": identity.record(),
        **said,
    }
    try:
        return run_experiment(config, path, about=about, label=told)
    except UserError:
        raise
    except Exception as error:
        print_failure(path, error)
        raise UserError(f"{run.folder.name} could not be run again") from None


class Untrained(Callback):
    """Let nothing be trained: a checkpoint can say that less was learned than it counts epochs."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise UserError("checkpoints/last.ckpt is not the end of its training; it is not trained on, and not tested.")


def reproduce(run: Path, *, overrides: Sequence[str], trust: bool, console: Console | None = None) -> None:
    """Run a finished run's config again, in a new folder; ends the process with status 1 unless all metrics are equal.

    Args:
        run: Its folder.
        overrides: key=value of keys that its config has.
        trust: Let the config name code that is no part of anirec.
        console: Where to print.

    Raises:
        UserError: It cannot be run again: it has not finished, its data are not here, an override fits nothing.
    """
    then = read_run(run.resolve())
    if then.state != "finished":
        raise UserError(f"{run}: {then.state}: {then.error}. Only a finished run can be reproduced.")
    config = config_of(then, trust=trust)
    override(config, overrides)
    if not any(name.startswith("test/") for name in then.metrics):
        config.select = then.config.get("select")  # its sweep has not chosen it: the test set stays unread
    config = checked(config)
    identity = identity_of(config)
    path = choose_folder(config, placed(config, then), identity.run)
    typed = [*(then.provenance.get("overrides") or []), *overrides]
    told = f"reproduces {then.folder.name}:"
    perform_again(config, path, then, identity=identity, told=told, overrides=typed, reproduces=str(run))
    if is_helper_process():
        return
    console = console or Console()
    if not show_repetition(console, then, read_run(path)).is_equal:
        sys.exit(1)


def override(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set keys that are there.

    Raises:
        UserError: One is not, or is no key=value.
    """
    known = [key for key, _ in flatten(to_dict(config, resolve=False))]
    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals:
            raise UserError(f"{text}: expected key=value, such as paths.data=/data")
        if key not in known:
            hint = (
                "; set one of its keys"
                if any(name.startswith(f"{key}.") for name in known)
                else did_you_mean(key, known)
            )
            raise UserError(f"{text}: the run's config has no setting {key}{hint}")
        try:
            config.merge_with_dotlist([text])
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{text}: {first_line(error)}") from None


def checked(config: DictConfig) -> DictConfig:
    """The config; a run of an older anirec, or an override, may have made it unfit.

    Raises:
        UserError: With all problems.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        problems = check_config(config)
    if problems:
        raise UserError("\n".join(["The run's config does not fit this anirec:", *(f"- {told}" for told in problems)]))
    return config


def placed(config: DictConfig, run: Run) -> Path:
    """Where runs of its dataset and model lie, below paths.outputs."""
    outputs = Path(config.paths.outputs).resolve()
    place = (outputs / run.dataset / run.model).resolve()
    if not place.is_relative_to(outputs):
        raise UserError(f"{run.folder / 'provenance.json'}: {run.dataset}/{run.model} lies outside of {outputs}")
    return place
