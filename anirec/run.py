"""One experiment: composed by Hydra, trained and evaluated by Lightning, stored in a run folder."""

import os
import sys
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from anirec.config.compose import first_line, to_dict
from anirec.distributed import process_group
from anirec.errors import UserError
from anirec.lightning import Logger, seed_everything
from anirec.models.warm_start import WarmStart
from anirec.notices import on_terminal
from anirec.settings import SettingsError
from anirec.threads import set_threads
from anirec.tracking.callbacks import Stopwatch
from anirec.tracking.console import print_failure, print_job, silence_libraries
from anirec.tracking.loggers import loggers_of_run
from anirec.tracking.run_folder import RunFolder


def run_experiment(
    config: DictConfig, path: Path, *, about: dict[str, Any], label: str, shown: Path | None = None
) -> RunFolder:
    """Run the experiment of a config in a folder, and record how it ended.

    Args:
        config: Composed config; its `run` section is filled in here.
        path: A new folder, or the folder of the run to resume.
        about: Provenance that is known before the run starts; see `RunFolder`.
        label: Name of the run on the terminal.
        shown: Folder to print; None: `path`.
    """
    silence_libraries()
    with open_dict(config):
        config.run.folder, config.run.name = str(path), "/".join(path.parts[-3:])
        config.run.sweep = about["sweep"]
    content = OmegaConf.to_yaml(config, resolve=True)
    with open_dict(config.trainer):
        set_threads(config.trainer.pop("threads", None))  # no argument of Lightning's trainer
    with process_group(), loggers_of_run() as loggers, RunFolder(path, config=content, about=about) as folder:
        print_job(shown or path, label)
        loggers.extend(instantiate_node(config.logger).values())
        folder.metrics = train_and_evaluate(config, folder, loggers)
        folder.keep_checkpoints(config.get("checkpoints", "all"))  # a run of before has no such key
    return folder


def train_and_evaluate(config: DictConfig, folder: RunFolder, loggers: list[Logger]) -> dict[str, float]:
    """Train, load the best checkpoint, evaluate it, and return all metrics; the same for every model."""
    seed_everything(config.seed, workers=True, verbose=False)
    data = instantiate_node(config.dataset, split=instantiate_node(config.split), cache=config.paths.cache)
    model = instantiate_node(config.model)
    if config.get("warm_start"):  # a run of before has no such key
        model.warm_start = WarmStart(Path(config.warm_start))
    evaluation = instantiate_node(config.metrics)
    stopwatch = Stopwatch()
    callbacks = [evaluation, stopwatch, *instantiate_node(config.callbacks).values()]
    trainer = instantiate_node(config.trainer, callbacks=callbacks, logger=loggers)
    for logger in loggers:
        logger.log_hyperparams(to_dict(config))

    resumed = folder.last if config.resume and folder.last.exists() else None
    trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
    times = {"fit_seconds": stopwatch.seconds, "compile_seconds": stopwatch.compile_seconds}
    is_in_memory = getattr(trainer.checkpoint_callback, "is_best_in_memory", False)
    best = None if is_in_memory else folder.best
    trainer.validate(model, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
    if not config.select:  # with `select`, only the chosen configuration is tested, after the sweep
        trainer.test(model, datamodule=data, verbose=False)

    metrics = {**data.facts, **evaluation.metrics}
    split = "val" if config.select else "test"
    if not any(name.startswith(f"{split}/") for name in metrics):
        raise UserError(f"No metric was computed on the {split} set. Does the trainer config limit its batches?")
    if trainer.is_global_zero:
        folder.provenance.update(data.provenance(), **times)
        folder.provenance.update(model.provenance())
        folder.provenance.update(model.warm_start.provenance() if model.warm_start else {})
        folder.write_json("metrics.json", metrics)
        for part in (data, model, evaluation):
            for name, table in part.tables.items():
                folder.write_table(name, table)
            for name, figure in part.figures.items():
                folder.write_figure(name, figure)
        folder.write_findings([sentence for part in (evaluation, model, data) for sentence in part.findings])
    return metrics


def instantiate_node(node: DictConfig, **supplied: Any) -> Any:
    """Instantiate the class that the node's `_target_` names.

    Raises:
        UserError: A value is out of range, or another library rejects an argument; the message names the config key.
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


def join_run(folder: Path) -> None:
    """Take part in a distributed run that the first process has started, as one of its other processes."""
    config = DictConfig(OmegaConf.load(folder / "config.yaml"))
    with on_terminal():
        run_experiment(config, folder, about={"sweep": config.run.sweep}, label="")


if __name__ == "__main__":
    try:
        join_run(Path(sys.argv[1]))
    except Exception as error:
        print_failure(None, error)
        os._exit(1)  # end at once, whatever is still open: the first process waits for this one
