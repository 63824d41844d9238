"""One experiment: composed by Hydra, trained and evaluated by Lightning, kept in a run folder."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities import rank_zero_only

from anirec.composition import config_hash
from anirec.errors import UserError
from anirec.tracking.console import CONSOLE, announce, quiet, show_failure, show_result, show_sweep
from anirec.tracking.loggers import close_loggers, show_figures
from anirec.tracking.run_folder import RunFolder, new_folder, unfinished

FOLDER = "ANIREC_RUN_FOLDER"  # tells the other processes of a run its folder
INTERRUPTED = 130


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
    if not any(name.startswith("test/") for name in metrics):
        raise UserError("Nothing was measured on the test set; does the trainer limit its batches?")
    if trainer.is_global_zero:
        folder.provenance.update(data.provenance(), **model.provenance(), fit_seconds=fit_seconds)
        folder.write_json("metrics.json", metrics)
        figures: dict[str, Path] = {}
        for part in (data, model, evaluation):
            for name, table in part.tables.items():
                folder.write_table(name, table)
            figures |= {name: folder.write_figure(name, figure) for name, figure in part.figures.items()}
        folder.write_findings([sentence for part in (data, model, evaluation) for sentence in part.findings])
        show_figures(loggers, figures)
    return metrics


def build(node: DictConfig, **supplied: Any) -> Any:
    """What the node's `_target_` makes of it; an error in there comes out as itself, not wrapped in Hydra's."""
    try:
        return instantiate(node, **supplied, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


def job(config: DictConfig) -> float | None:
    """One job of Hydra's. A failure is recorded and shown; in a multirun the other jobs go on.

    Returns the objective, for searches: NaN if the job failed.
    """
    quiet()
    chosen = HydraConfig.get()
    is_sweep = chosen.mode == RunMode.MULTIRUN
    # Lightning starts its other processes with this process's command line: they must do this job, not the sweep.
    sys.argv = [sys.argv[0], "run", *config_dirs(chosen), *chosen.overrides.task]
    status, path = 1, None
    try:
        path = run_path(config, chosen)
        with open_dict(config):
            config.run.folder, config.run.name = str(path), "/".join(path.parts[-3:])
            config.run.sweep = Path(chosen.sweep.dir).name if is_sweep else None
        with RunFolder(
            path, config=OmegaConf.to_yaml(config, resolve=True), identity=identity(config, chosen)
        ) as folder:
            announce(path, f"job {chosen.job.num}: {' '.join(typed(chosen))}" if is_sweep else "run")
            if is_sweep:
                folder.join(Path(chosen.sweep.dir), chosen.job.num)
            metrics = experiment(config, folder)
        show_result(metrics, objective=config.objective, in_full=not is_sweep, findings=folder.findings)
        status = 0
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        CONSOLE.print("stopped by hand; the same command with resume=true goes on from the last checkpoint")
        if is_sweep:
            show_sweep(Path(chosen.sweep.dir))
        sys.exit(INTERRUPTED)
    except Exception as error:
        show_failure(path, error)
        if other_process():
            os._exit(1)  # the first process waits for this one: it must see it end, whatever is still open
        if is_sweep:
            return float("nan")
        sys.exit(1)
    finally:
        close_loggers(failed=status > 0)
    return metrics.get(config.objective) if config.objective else None


def other_process() -> bool:
    """Whether this process was started to help the first one."""
    return getattr(rank_zero_only, "rank", 0) > 0


def run_path(config: DictConfig, chosen: HydraConf) -> Path:
    """The folder of this run: a new one, or that of the run to go on with. The first process decides for all.

    Raises:
        UserError: The folder cannot be made; or processes were not started by Lightning, and do not know the folder.
    """
    if other_process():
        if FOLDER not in os.environ:
            raise UserError(f"Start the processes by trainer=ddp, or set {FOLDER} to the same folder for all of them.")
        return Path(os.environ[FOLDER])
    parent = Path(config.paths.outputs).resolve() / chosen.runtime.choices["dataset"] / chosen.runtime.choices["model"]
    name = config_hash(config)
    path = unfinished(parent, name) if config.resume else None
    if config.resume:
        CONSOLE.print("goes on from the last checkpoint" if path else "nothing of this config to go on with: a new run")
    try:
        path = path or new_folder(parent, name)
    except OSError as error:
        raise UserError(
            f"paths.outputs={config.paths.outputs}: no folder can be made there: {error.strerror}"
        ) from None
    os.environ[FOLDER] = str(path)
    return path


def identity(config: DictConfig, chosen: HydraConf) -> dict[str, object]:
    """What provenance says of a run before it has begun."""
    return {
        **{group: chosen.runtime.choices[group] for group in ("dataset", "model", "trainer")},
        "seed": config.seed,
        "sweep": config.run.sweep,
        "tags": list(config.tags),
        "objective": config.objective,
        "overrides": typed(chosen),
        "config_hash": config_hash(config),
    }


def typed(chosen: HydraConf) -> list[str]:
    """The overrides as the user typed them; see `anirec.config.left_to_jobs`."""
    return [override.removeprefix("++") for override in chosen.overrides.task]


def config_dirs(chosen: HydraConf) -> list[str]:
    return [
        f"--config-dir={source.path}" for source in chosen.runtime.config_sources if source.provider == "command-line"
    ]
