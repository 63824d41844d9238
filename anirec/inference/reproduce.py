"""`anirec reproduce`: re-run a finished run from its config alone, and report which metrics match."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anirec.config.checks import check_config
from anirec.config.compose import conf_folder, did_you_mean, first_line, to_dict
from anirec.config.identity import Identity, flatten, identity_of, replace_folder
from anirec.errors import UserError
from anirec.inference.trust import CHECKPOINTS, check_run
from anirec.lightning import Callback, LightningModule, Trainer
from anirec.printable import Console
from anirec.report.repetition import show_repetition
from anirec.report.run_files import require_run
from anirec.report.runs import Run, read_run
from anirec.run import run_experiment
from anirec.tracking.choose_folder import choose_folder, is_helper_process
from anirec.tracking.console import print_failure
from anirec.tracking.run_folder import RunFolder

HISTORY = {"_target_": "anirec.tracking.loggers.HistoryLogger", "folder": "${run.folder}"}
KEPT = ("dataset", "model", "trainer", "seed", "choices", "overrides")  # provenance that is known before a run


def config_of(run: Run, *, trust: bool) -> DictConfig:
    """Return the config of a run, prepared for a new run folder.

    Cache and outputs are the current defaults, and history.csv is the only logger. The data folder is that of the run
    if it still exists, else the default. The pruning callback of a search is removed.

    Args:
        run: A finished run.
        trust: Allow the config to load code from outside anirec.

    Raises:
        UserError: The file is not a config of a run, or names code that is not trusted.
    """
    try:
        config = to_dict(OmegaConf.load(run.folder / "config.yaml"), resolve=False)
        if unresolved := [text for text in all_strings(config) if "${" in text]:
            # Runs store resolved configs; an interpolation would be resolved later, to anything.
            raise UserError(f"{run.folder / 'config.yaml'}: {unresolved[0]} is not resolved; the run was not started")
        config["callbacks"] = {name: node for name, node in config["callbacks"].items() if name != "prune"}
        if not trust:
            check_run(config)
        data, folder = config["paths"]["data"], config["run"]["folder"]
        config["dataset"] = replace_folder(config["dataset"], data, "${paths.data}")
        config["callbacks"] = replace_folder(config["callbacks"], folder, "${run.folder}")
        for node in config["callbacks"].values():
            if node["_target_"] == CHECKPOINTS:
                node["folder"] = "${run.folder}/checkpoints"
        defaults = to_dict(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)["paths"]
        config["paths"] = {**defaults, "data": data} if Path(data).is_dir() else defaults
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{run.folder / 'config.yaml'}: not a config of a run: {error!r}") from None
    fixed = {"logger": {"history": HISTORY}, "run": {"folder": "???", "name": "???", "sweep": None}}
    return OmegaConf.create({**config, **fixed, "resume": False, "select": None, "search": None})


def all_strings(node: Any) -> list[str]:
    """Return all strings in a nested config, keys included."""
    if isinstance(node, dict):
        return [text for part in (*node, *node.values()) for text in all_strings(part)]
    if isinstance(node, list):
        return [text for part in node for text in all_strings(part)]
    return [node] if isinstance(node, str) else []


def epochs_of(checkpoint: Path) -> int:
    """Return the number of epochs after which the checkpoint was saved.

    Raises:
        UserError: The checkpoint is missing or damaged.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(content["epoch"]) + 1
    except Exception as error:
        raise UserError(f"{checkpoint}: missing or damaged: {error}") from None


def require_checkpoint(checkpoint: Path) -> Path:
    """Return the path of a checkpoint, or raise a UserError if the run has not kept it."""
    if not checkpoint.exists():
        run = checkpoint.parents[1]
        raise UserError(f"{run}: kept no {checkpoint.name}. Run its config again with checkpoints=all")
    return checkpoint


def perform_again(
    config: DictConfig,
    path: Path,
    run: Run,
    *,
    identity: Identity,
    title: str,
    shown: Path | None = None,
    **provenance: Any,
) -> RunFolder:
    """Run the experiment of a config in a new folder.

    Args:
        config: Composed config.
        path: The new run folder.
        run: The original run; its provenance is copied as far as it applies.
        identity: Identity of the new run.
        title: Name of the new run on the terminal.
        shown: Folder to print; None: `path`.
        **provenance: Further entries of provenance.json.

    Raises:
        UserError: The run failed.
    """
    about = {
        **{key: run.provenance.get(key) for key in KEPT},
        "sweep": None,
        "tags": list(config.get("tags") or []),
        "objective": to_dict(config, resolve=False)["objective"],
        "identity": identity.record(),
        **provenance,
    }
    try:
        return run_experiment(config, path, about=about, label=title, shown=shown)
    except UserError:
        raise
    except Exception as error:
        print_failure(path, error)
        raise UserError(f"Running {run.folder.name} again failed; see the error above.") from None


class Untrained(Callback):
    """Stop if Lightning starts to train: the checkpoint to test holds fewer epochs than it claims."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise UserError(
            "checkpoints/last.ckpt is not from the end of the training; it was neither trained further nor tested."
        )


def reproduce(run: Path, *, overrides: Sequence[str], trust: bool, console: Console | None = None) -> None:
    """Re-run the config of a finished run in a new folder; exit with status 1 unless all metrics match.

    Args:
        run: Folder of the finished run.
        overrides: key=value for keys of its config.
        trust: Allow the config to load code from outside anirec.
        console: Where to print; default: the terminal.

    Raises:
        UserError: The run is not finished, its data are missing, or an override is invalid.
    """
    require_run(run)
    original = read_run(run.resolve())
    if original.state != "finished":
        raise UserError(f"{run}: {original.state}: {original.error}. Only a finished run can be reproduced.")
    config = config_of(original, trust=trust)
    override(config, overrides)
    if not any(name.startswith("test/") for name in original.metrics):
        config.select = original.config.get("select")  # not selected by its sweep: the test set stays unread
    config = require_valid(config)
    identity = identity_of(config)
    path = choose_folder(config, output_folder(config, original), identity.run)
    typed = [*(original.provenance.get("overrides") or []), *overrides]
    title = f"reproduces {original.folder.name}:"
    perform_again(config, path, original, identity=identity, title=title, overrides=typed, reproduces=str(run))
    if is_helper_process():
        return
    console = console or Console()
    if not show_repetition(console, original, read_run(path)).is_equal:
        sys.exit(1)


def override(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set existing keys of a config.

    Raises:
        UserError: An override is not of the form key=value, or the config has no such key.
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


def require_valid(config: DictConfig) -> DictConfig:
    """Return the config if it is valid; one of an older version of anirec, or an overridden one, may not be.

    Raises:
        UserError: The config is invalid; lists all problems.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        problems = check_config(config)
    if problems:
        raise UserError(
            "\n".join(
                ["The run's config is not valid in this version of anirec:", *(f"- {problem}" for problem in problems)]
            )
        )
    return config


def output_folder(config: DictConfig, run: Run) -> Path:
    """Return the folder of runs of this dataset and model below paths.outputs.

    Raises:
        UserError: The names in provenance.json lead outside paths.outputs.
    """
    outputs = Path(config.paths.outputs).resolve()
    folder = (outputs / run.dataset / run.model).resolve()
    if not folder.is_relative_to(outputs):
        raise UserError(f"{run.folder / 'provenance.json'}: {run.dataset}/{run.model} is outside {outputs}")
    return folder
