"""Launch of runs and sweeps with Hydra. Imports little: a job imports what it needs, often in another process."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from anirec.atomic import write_text
from anirec.config.compose import conf_folder, pin
from anirec.errors import UserError
from anirec.sweeps.worker import exit_with_sweep, mark_sweep_process

PLUGIN = "hydra_plugins.anirec"  # the name of this module for Hydra, which accepts sweepers only from that package
DATA_FOLDERS = ("ANIREC_DATA", "ANIREC_CACHE")


def job(config: DictConfig) -> list[float] | None:
    """Run one job; Hydra and its launchers call this."""
    from anirec.sweeps import jobs

    return jobs.run_job(config)


class SearchSweeper(Sweeper):
    """The sweeper of `search=NAME`: run the trials that Optuna proposes with the configured launcher.

    Args:
        params: Search space: a range in Hydra's syntax for each key.
    """

    __module__ = PLUGIN

    def __init__(self, params: DictConfig | None) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parts: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> None:
        from anirec.sweeps.search import search

        search(self.parts["config"], launcher=lambda: Plugins.instance().instantiate_launcher(**self.parts))


class SweepEnd(Callback):
    """The end of a multirun: list the failed jobs, choose with `select`, and set the exit status.

    With select=best or refit, one configuration is chosen and evaluated on the test set.
    """

    config: ClassVar[DictConfig | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Fix the sweep folder and data folders for jobs in other processes or on other machines."""
        SweepEnd.config = config
        folder = Path(config.hydra.sweep.dir).resolve()
        pin(config, "hydra.sweep.dir", folder)
        for name in DATA_FOLDERS:
            if name in os.environ:
                pin(config, f"hydra.job.env_set.{name}", os.environ[name])
        if config.hydra.runtime.choices["hydra/launcher"] not in (None, "basic") and "search" not in config:
            print(f"sweep {os.path.relpath(folder)}", file=sys.stderr)  # output of the jobs may be late or missing
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors of sweeper and launcher unchanged

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        from rich.markup import escape

        from anirec.metrics.names import objectives
        from anirec.tracking.console import CONSOLE, print_failure, print_sweep, relative_path

        sweep = Path(config.hydra.sweep.dir)
        failed = print_sweep(sweep) > 0
        several = len(objectives(config.objective)) > 1
        if config.select and several:  # only a search gets here (see `validate`); it has printed its Pareto front
            CONSOLE.print(f"Test one of them with [bold]anirec select {escape(relative_path(sweep))} --metric val/…[/]")
        elif config.select:
            from anirec.sweeps.select import select

            try:
                select(sweep, refit=config.select == "refit", trust=True)
            except Exception as error:  # Hydra would turn it into a warning
                print_failure(None, error)
                failed = True
        if failed:
            sys.exit(1)


def main(arguments: list[str]) -> None:
    """Run `anirec run` with these arguments."""
    sys.argv[1:] = arguments
    exit_with_sweep()  # the parent may be a study
    mark_sweep_process()
    sys.modules[PLUGIN] = sys.modules[__name__]
    Plugins.instance().register(SearchSweeper)
    try:
        hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(job)()
    except Exception as error:
        if SweepEnd.config is None or isinstance(error, UserError):  # the search could not start
            raise
        report_broken_sweep(Path(SweepEnd.config.hydra.sweep.dir), error)
        sys.exit(1)


def report_broken_sweep(sweep: Path, error: Exception) -> None:
    """Report a sweep whose launcher or sweeper failed, for example because the process of a job was killed."""
    from anirec.tracking.console import CONSOLE, print_failure, print_sweep

    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()  # ends the jobs, so that they are listed as killed
    write_text(sweep / "error.txt", "".join(traceback.format_exception(error)))
    print_failure(sweep, error)
    CONSOLE.print(
        "The sweep stopped. To continue a search, repeat the command; any other sweep, with sweep.skip_done=true."
    )
    print_sweep(sweep)
