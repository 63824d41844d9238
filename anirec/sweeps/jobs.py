"""Hydra's side of a run: which folder it gets, what a sweep does when a job fails, is done already or is stopped."""

import json
import os
import sys
from math import isfinite, nan
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from anirec.composing.identity import Identity, identity_of
from anirec.errors import UserError
from anirec.run import other_process, perform, run_path
from anirec.sweeps.worker import end_with_sweep
from anirec.tracking.console import CONSOLE, announce, quiet, show_failure, show_result, show_sweep
from anirec.tracking.folders import Pruned, finished, join

FIRST_JOB = "ANIREC_FIRST_JOB"  # tells a job of a search how many trials there were before the command's first
AGENT = "WANDB_SWEEP_ID"  # this is a job of W&B's sweep: `anirec select` chooses when it is over
INTERRUPTED = 130


def job(config: DictConfig) -> float | None:
    """One job of Hydra's. A failure is recorded and shown; in a multirun the other jobs go on.

    Returns the objective, for searches: None if the job failed, or what it measured is no number.
    """
    quiet()
    end_with_sweep()
    chosen = HydraConfig.get()
    sweep = Path(chosen.sweep.dir) if chosen.mode == RunMode.MULTIRUN else None
    # Lightning starts its other processes with this process's command line: they must do this job, not the sweep.
    sys.argv = [sys.argv[0], "run", *config_dirs(chosen), *chosen.overrides.task]
    told = f"job {chosen.job.num}: {' '.join(typed(chosen))}" if sweep else "run"
    path = None
    try:
        if config.select and not (sweep or other_process() or AGENT in os.environ):
            raise UserError(f"select={config.select} chooses among the jobs of a sweep: add -m, or leave it out.")
        folder = place(config, chosen)
        identity = identity_of(config)
        done = finished(folder, identity.run, tested=not config.select) if config.sweep.skip_done else None
        path = done or run_path(config, folder, identity.run)
        if sweep and not other_process():
            join(path, sweep, chosen.job.num + int(os.environ.get(FIRST_JOB, "0")))
        if done:
            announce(done, f"done before, {told}")
            metrics = json.loads((done / "metrics.json").read_text())
        else:
            run = perform(config, path, about=about(config, chosen, identity), told=told)
            metrics = run.metrics
            show_result(metrics, objective=config.objective, in_full=not sweep, findings=run.findings)
    except Pruned as pruned:
        CONSOLE.print(f"  {pruned}")
        return pruned.value
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        CONSOLE.print("stopped by hand; the same command with resume=true goes on from the last checkpoint")
        if sweep:
            show_sweep(sweep)
        sys.exit(INTERRUPTED)
    except Exception as error:
        show_failure(path, error)
        if other_process():
            os._exit(1)  # the first process waits for this one: it must see it end, whatever is still open
        if sweep:
            return None
        sys.exit(1)
    value = metrics.get(config.objective, nan) if config.objective else nan
    return value if isfinite(value) else None


def place(config: DictConfig, chosen: HydraConf) -> Path:
    """Where the runs of this dataset and model lie."""
    return Path(config.paths.outputs).resolve() / chosen.runtime.choices["dataset"] / chosen.runtime.choices["model"]


def about(config: DictConfig, chosen: HydraConf, identity: Identity) -> dict[str, Any]:
    """What provenance says of a run before it begins."""
    return {
        **{group: chosen.runtime.choices[group] for group in ("dataset", "model", "trainer")},
        "seed": config.seed,
        "sweep": Path(chosen.sweep.dir).name if chosen.mode == RunMode.MULTIRUN else None,
        "tags": list(config.tags),
        "objective": config.objective,
        "overrides": typed(chosen),
        "identity": identity.record(),
        "choices": {name: choice for name, choice in chosen.runtime.choices.items() if not name.startswith("hydra/")},
    }


def typed(chosen: HydraConf) -> list[str]:
    """The overrides as the user typed them; see `anirec.composing.config.left_to_jobs`."""
    return [override.removeprefix("++") for override in chosen.overrides.task]


def config_dirs(chosen: HydraConf) -> list[str]:
    return [
        f"--config-dir={source.path}" for source in chosen.runtime.config_sources if source.provider == "command-line"
    ]
