"""One experiment: composed by Hydra, trained and evaluated by Lightning, kept in a run folder."""

import os
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import Logger

from anirec.config.compose import first_line, to_dict
from anirec.errors import UserError
from anirec.settings import SettingsError
from anirec.tracking.callbacks import Stopwatch
from anirec.tracking.console import CONSOLE, print_job
from anirec.tracking.folders import find_unfinished, new_folder
from anirec.tracking.loggers import loggers_of_run
from anirec.tracking.run_folder import RunFolder

FOLDER_VARIABLE = "ANIREC_RUN_FOLDER"  # tells the other processes of a run its folder


def run_experiment(config: DictConfig, path: Path, *, about: dict[str, Any], told: str) -> RunFolder:
    """Run the experiment of a config in a folder, and record how it ended.

    Args:
        config: Composed; where it runs is filled in here.
        path: A new folder, or that of the run to resume.
        about: What provenance says of the run before it begins.
        told: What the terminal calls it.
    """
    with open_dict(config):
        config.run.folder, config.run.name = str(path), "/".join(path.parts[-3:])
        config.run.sweep = about["sweep"]
    content = OmegaConf.to_yaml(config, resolve=True)
    with loggers_of_run() as loggers, RunFolder(path, config=content, about=about) as folder:
        print_job(path, told)
        loggers.extend(instantiate_node(config.logger).values())
        folder.metrics = train_and_evaluate(config, folder, loggers)
    return folder


def train_and_evaluate(config: DictConfig, folder: RunFolder, loggers: list[Logger]) -> dict[str, float]:
    """Train, choose the best checkpoint, and measure it; the same for every model. Returns all metrics."""
    seed_everything(config.seed, workers=True, verbose=False)
    data = instantiate_node(config.dataset, split=instantiate_node(config.split), cache=config.paths.cache)
    model = instantiate_node(config.model)
    evaluation = instantiate_node(config.metrics)
    stopwatch = Stopwatch()
    callbacks = [evaluation, stopwatch, *instantiate_node(config.callbacks).values()]
    trainer = instantiate_node(config.trainer, callbacks=callbacks, logger=loggers)
    for logger in loggers:
        logger.log_hyperparams(to_dict(config))

    resumed = folder.last if config.resume and folder.last.exists() else None
    trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
    fit_seconds = stopwatch.seconds
    trainer.validate(model, datamodule=data, ckpt_path=folder.best, weights_only=True, verbose=False)
    if not config.select:  # else the sweep's choice alone meets the test set
        trainer.test(model, datamodule=data, verbose=False)

    metrics = {**data.facts, **evaluation.metrics}
    measured = "val" if config.select else "test"
    if not any(name.startswith(f"{measured}/") for name in metrics):
        raise UserError(f"Nothing was measured on the {measured} set; does the trainer limit its batches?")
    if trainer.is_global_zero:
        folder.provenance.update(data.provenance(), **model.provenance(), fit_seconds=fit_seconds)
        folder.write_json("metrics.json", metrics)
        for part in (data, model, evaluation):
            for name, table in part.tables.items():
                folder.write_table(name, table)
            for name, figure in part.figures.items():
                folder.write_figure(name, figure)
        folder.write_findings([sentence for part in (data, model, evaluation) for sentence in part.findings])
    return metrics


def instantiate_node(node: DictConfig, **supplied: Any) -> Any:
    """Make what the node's `_target_` names.

    Raises:
        UserError: A value is out of its range, or another library refuses its arguments; it names the key.
    """
    try:
        return instantiate(node, **supplied, _convert_="all")
    except InstantiationException as error:
        cause, (_, _, key) = error.__cause__ or error, str(error).rpartition("full_key: ")
        if isinstance(cause, SettingsError):
            raise UserError("\n".join(f"{key}.{problem}" for problem in cause.problems)) from None
        if isinstance(cause, UserError) or "call to target 'anirec." in str(error):
            raise cause from None
        raise UserError(f"{key}: {first_line(cause)}") from None


def is_helper_process() -> bool:
    """Whether this process was started to help the first one."""
    return getattr(rank_zero_only, "rank", 0) > 0


def choose_folder(config: DictConfig, parent: Path, run: str) -> Path:
    """The folder of this run: a new one, or that of the run to resume. The first process decides for all.

    Args:
        config: Composed.
        parent: Where runs of its dataset and model lie.
        run: Its identity's; see `anirec.config.identity`.

    Raises:
        UserError: The folder cannot be made; or processes were not started by Lightning, and do not know the folder.
    """
    if is_helper_process():
        if FOLDER_VARIABLE not in os.environ:
            raise UserError(
                f"Start the processes by trainer=ddp, or set {FOLDER_VARIABLE} to the same folder for all of them."
            )
        return Path(os.environ[FOLDER_VARIABLE])
    path = find_unfinished(parent, run) if config.resume else None
    if path:
        CONSOLE.print("Resuming from the last checkpoint")
    elif config.resume and not config.sweep.skip_done:
        CONSOLE.print("No unfinished run of this config; starting a new one")
    try:
        path = path or new_folder(parent, run)
    except OSError as error:
        raise UserError(
            f"paths.outputs={config.paths.outputs}: no folder can be made there: {error.strerror}"
        ) from None
    os.environ[FOLDER_VARIABLE] = str(path)
    return path
