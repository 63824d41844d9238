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

from anirec.config.compose import plain
from anirec.config.identity import Identity, identity_of
from anirec.errors import UserError
from anirec.metrics.names import objectives
from anirec.notices import on_terminal
from anirec.run import other_process, perform, run_path
from anirec.sweeps.worker import end_with_sweep
from anirec.tracking.console import CONSOLE, announce, quiet, show_failure, show_result, show_sweep
from anirec.tracking.folders import Pruned, finished, join

AGENT = "WANDB_SWEEP_ID"  # this is a job of W&B's sweep: `anirec select` chooses when it is over
INTERRUPTED = 130


@on_terminal()  # in a process that a launcher started
def job(config: DictConfig) -> list[float] | None:
    """One job of Hydra's. A failure is recorded and shown; in a multirun the other jobs go on.

    Returns the objectives, for searches: None if the job failed, was pruned, or measured what is no number.
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
            join(path, sweep, chosen.job.num)
        if done:
            announce(done, f"done before, {told}")
            metrics = json.loads((done / "metrics.json").read_text())
        else:
            run = perform(config, path, about=about(config, chosen, identity), told=told)
            metrics = run.metrics
            show_result(metrics, objectives=objectives(config.objective), in_full=not sweep, findings=run.findings)
    except Pruned as pruned:
        CONSOLE.print(f"  {pruned}")
        return None
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
    values = [metrics.get(name, nan) for name in objectives(config.objective)]
    return values if values and all(map(isfinite, values)) else None


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
        "objective": plain(config, resolve=False)["objective"],
        "overrides": typed(chosen),
        "identity": identity.record(),
        "choices": {name: choice for name, choice in chosen.runtime.choices.items() if not name.startswith("hydra/")},
    }


def typed(chosen: HydraConf) -> list[str]:
    """The overrides as the user typed them; see `anirec.config.validate.left_to_jobs`."""
    return [override.removeprefix("++") for override in chosen.overrides.task]


def config_dirs(chosen: HydraConf) -> list[str]:
    return [
        f"--config-dir={source.path}" for source in chosen.runtime.config_sources if source.provider == "command-line"
    ]
