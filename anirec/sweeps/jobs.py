"""One Hydra job: its folder, its provenance, and what happens if it fails, is pruned, interrupted or already done."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from anirec.config.compose import to_dict
from anirec.config.identity import Identity, identity_of
from anirec.errors import UserError
from anirec.metrics.names import objectives
from anirec.notices import on_terminal
from anirec.sweeps.worker import INTERRUPTED, START_FOLDER, VARIED, exit_with_sweep
from anirec.tracking.choose_folder import choose_folder, is_helper_process
from anirec.tracking.console import CONSOLE, print_failure, print_job, print_metrics, print_size
from anirec.tracking.folders import Pruned, find_finished, link_into_sweep

WANDB_AGENT = "WANDB_SWEEP_ID"  # set in a job of a W&B sweep, which `anirec select` can evaluate afterwards


@on_terminal()  # for jobs in a process of a launcher
def run_job(config: DictConfig) -> list[float] | None:
    """Run one Hydra job. A failure is recorded and printed; in a multirun it does not stop the other jobs.

    Returns:
        The objectives, for a search; None if the job failed, was pruned, or an objective is missing or not finite.
    """
    exit_with_sweep()
    chosen = HydraConfig.get()
    sweep = Path(chosen.sweep.dir) if chosen.mode == RunMode.MULTIRUN else None
    # Lightning starts further processes with the command line of this one: they must run this job, not the sweep.
    sys.argv = [sys.argv[0], "run", *config_dir_options(chosen), *written_overrides(chosen)]
    number, label = (f"job {chosen.job.num}: ", " ".join(varied_overrides(chosen))) if sweep else ("", "run")
    path = None
    try:
        if sweep:
            work_as_the_sweep(config_folders(chosen))
        if config.select and not (sweep or is_helper_process() or WANDB_AGENT in os.environ):
            raise UserError(f"select={config.select} needs a sweep to choose from: add -m, or remove select.")
        folder = runs_folder(config, chosen)
        identity = identity_of(config)
        done = find_done(config, folder, identity.run)
        path = done or choose_folder(config, folder, identity.run)
        if sweep and not is_helper_process():
            link_into_sweep(path, sweep, chosen.job.num)
        if done:
            print_job(done, f"{number}already done, {label}" if sweep else "already done,")
            if not sweep:
                key = "sweep.skip_done" if config.sweep.skip_done else "resume"
                CONSOLE.print(f"This run has finished: nothing is left to do. To run it again, remove {key}=true.")
            metrics = json.loads((done / "metrics.json").read_text())
        else:
            from anirec.run import run_experiment  # imports Lightning, which the checks above do not need

            about = initial_provenance(config, chosen, identity)
            run = run_experiment(config, path, about=about, label=f"{number}{label}")
            metrics = run.metrics
            print_metrics(
                metrics,
                objectives=objectives(config.objective),
                in_full=not sweep,
                findings=run.findings,
                split=chosen.runtime.choices.get("split") or "",
            )
            if not sweep:
                print_size([path])
    except Pruned as pruned:
        CONSOLE.print(f"  {pruned}")
        return None
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        sys.exit(INTERRUPTED)  # `anirec.sweeps.launch` prints how to continue
    except Exception as error:
        print_failure(path, error)
        if is_helper_process():
            os._exit(1)  # end at once, whatever is still open: the first process waits for this one
        if sweep:
            return None
        sys.exit(1)
    values = [metrics.get(name, nan) for name in objectives(config.objective)]
    return values if values and all(map(isfinite, values)) else None


def find_done(config: DictConfig, folder: Path, run: str) -> Path | None:
    """Return the folder of an earlier run that makes this one needless, with `sweep.skip_done` or `resume`; else None.

    `resume` prefers a later run that did not finish.
    """
    if is_helper_process() or not (config.sweep.skip_done or config.resume):
        return None
    return find_finished(folder, run, tested=not config.select, since_unfinished=not config.sweep.skip_done)


def runs_folder(config: DictConfig, chosen: HydraConf) -> Path:
    """Return the folder of the runs of this dataset and model."""
    return Path(config.paths.outputs).resolve() / chosen.runtime.choices["dataset"] / chosen.runtime.choices["model"]


def initial_provenance(config: DictConfig, chosen: HydraConf, identity: Identity) -> dict[str, Any]:
    """Return the provenance that is known before a run starts."""
    return {
        **{group: chosen.runtime.choices[group] for group in ("dataset", "model", "trainer")},
        "seed": config.seed,
        "sweep": Path(chosen.sweep.dir).name if chosen.mode == RunMode.MULTIRUN else None,
        "tags": list(config.tags),
        "objective": to_dict(config, resolve=False)["objective"],
        "overrides": typed_overrides(chosen),
        "identity": identity.record(),
        "choices": {name: choice for name, choice in chosen.runtime.choices.items() if not name.startswith("hydra/")},
    }


def written_overrides(chosen: HydraConf) -> list[str]:
    """Return the overrides of the job as Hydra read them; interpolations in them are not resolved."""
    return cast(list[str], OmegaConf.to_container(cast(ListConfig, chosen.overrides.task), resolve=False))


def typed_overrides(chosen: HydraConf) -> list[str]:
    """Return the overrides as the user typed them, without the `++` of `anirec.config.validate.force_add`."""
    return [override.removeprefix("++") for override in written_overrides(chosen)]


def varied_overrides(chosen: HydraConf) -> list[str]:
    """Return the overrides in which the jobs of a sweep differ; all of them if that is unknown."""
    varied = os.environ.get(VARIED, "").split()
    overrides = typed_overrides(chosen)
    return [one for one in overrides if one.lstrip("+").partition("=")[0] in varied] or overrides


def config_dir_options(chosen: HydraConf) -> list[str]:
    return [f"--config-dir={folder}" for folder in config_folders(chosen)]


def config_folders(chosen: HydraConf) -> list[str]:
    """Return the folders that --config-dir names."""
    return [source.path for source in chosen.runtime.config_sources if source.provider == "command-line"]


def work_as_the_sweep(modules: Sequence[str]) -> None:
    """Enter the folder in which the sweep was started, and make the modules of these folders importable.

    The process of a job may have been started by a cluster, in another folder.
    """
    folder = os.environ.get(START_FOLDER, ".")
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror} on {platform.node()}. Start the sweep in a folder that all hosts share."
        ) from None
    sys.path.extend(path for path in map(os.path.abspath, modules) if path not in sys.path)
