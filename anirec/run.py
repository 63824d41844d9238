"""One experiment: composed by Hydra, trained and evaluated by Lightning, kept in a run folder."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning import seed_everything

from anirec.composition import conf_folder, config_hash
from anirec.tracking.console import announce, quiet, show_failure, show_result, show_sweep
from anirec.tracking.loggers import close_loggers
from anirec.tracking.run_folder import RunFolder, new_folder, unfinished


def experiment(config: DictConfig, folder: RunFolder) -> dict[str, float]:
    """Train, choose the best checkpoint, and measure it; the same for every model. Returns all metrics."""
    seed_everything(config.seed, workers=True, verbose=False)
    data = build(config.dataset, split=config.split, cache=config.paths.cache)
    model = build(config.model)
    evaluation = build(config.metrics)
    callbacks = [evaluation, *build(config.callbacks).values()]
    loggers = list(build(config.logger).values())
    trainer = build(config.trainer, callbacks=callbacks, logger=loggers)
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(config, resolve=True))

    resumed = folder.last if config.resume and folder.last.exists() else None
    started = time.perf_counter()
    trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
    fit_seconds = round(time.perf_counter() - started, 3)
    trainer.validate(model, datamodule=data, ckpt_path=folder.best, weights_only=True, verbose=False)
    trainer.test(model, datamodule=data, verbose=False)

    metrics = {**data.facts, **evaluation.metrics}
    if trainer.is_global_zero:
        folder.provenance.update(data.provenance(), fit_seconds=fit_seconds)
        folder.write_json("metrics.json", metrics)
        for name, table in evaluation.tables.items():
            folder.write_table(name, table)
    return metrics


def build(node: DictConfig, **supplied: Any) -> Any:
    """What the node's `_target_` makes of it; an error in there comes out as itself, not wrapped in Hydra's."""
    try:
        return instantiate(node, **supplied, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


def job(config: DictConfig) -> float | None:
    """What Hydra calls for each job. A failure is recorded and shown; in a multirun the other jobs go on.

    Returns the objective, for searches: NaN if the job failed.
    """
    quiet()
    chosen = HydraConfig.get()
    is_sweep = chosen.mode == RunMode.MULTIRUN
    # Lightning starts its other processes with this process's command line: they must do this job, not the sweep.
    sys.argv = [sys.argv[0], "run", *config_dirs(chosen), *chosen.overrides.task]
    path = run_path(config, chosen)
    with open_dict(config):
        config.run.folder, config.run.name = str(path), "/".join(path.parts[-3:])
        config.run.sweep = Path(chosen.sweep.dir).name if is_sweep else None
    failed = True
    try:
        with RunFolder(
            path, config=OmegaConf.to_yaml(config, resolve=True), identity=identity(config, chosen)
        ) as folder:
            announce(path, f"job {chosen.job.num}: {' '.join(chosen.overrides.task)}" if is_sweep else "run")
            if is_sweep:
                folder.join(Path(chosen.sweep.dir), chosen.job.num)
            metrics = experiment(config, folder)
        show_result(metrics, objective=config.objective, in_full=not is_sweep)
        failed = False
    except Exception as error:
        show_failure(path, error)
        if other_process():
            os._exit(1)  # the first process waits for this one: it must see it end, whatever is still open
        if is_sweep:
            return float("nan")
        sys.exit(1)
    finally:
        close_loggers(failed=failed)
    return metrics.get(config.objective) if config.objective else None


def other_process() -> bool:
    """Whether Lightning has started this process to help the first one."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0 or int(os.environ.get("NODE_RANK", "0")) > 0


def run_path(config: DictConfig, chosen: HydraConf) -> Path:
    """The folder of this run: a new one, or that of the run to go on with. The first process decides for all."""
    if other_process():
        return Path(os.environ["ANIREC_RUN_FOLDER"])
    parent = Path(config.paths.outputs).resolve() / chosen.runtime.choices["dataset"] / chosen.runtime.choices["model"]
    name = config_hash(config)
    path = (unfinished(parent, name) if config.resume else None) or new_folder(parent, name)
    os.environ["ANIREC_RUN_FOLDER"] = str(path)
    return path


def identity(config: DictConfig, chosen: HydraConf) -> dict[str, object]:
    """What provenance says of a run before it has begun."""
    return {
        **{group: chosen.runtime.choices[group] for group in ("dataset", "model", "trainer")},
        "seed": config.seed,
        "sweep": config.run.sweep,
        "tags": list(config.tags),
        "objective": config.objective,
        "overrides": list(chosen.overrides.task),
        "config_hash": config_hash(config),
    }


def config_dirs(chosen: HydraConf) -> list[str]:
    return [
        f"--config-dir={source.path}" for source in chosen.runtime.config_sources if source.provider == "command-line"
    ]


class SweepEnd(Callback):
    """What Hydra calls when the last job of a multirun is over: failures are told again, and decide the exit status."""

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        if show_sweep(Path(config.hydra.sweep.dir)):
            sys.exit(1)


def main(arguments: list[str]) -> None:
    """Hand the command line to Hydra."""
    sys.argv[1:] = arguments
    hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(job)()
