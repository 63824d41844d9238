"""Hands a command line to Hydra. Light: a job imports what it needs when it runs, perhaps in another process."""

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

PLUGIN = "hydra_plugins.anirec"  # this module's name for Hydra, which takes sweepers from that package only
PLACES = ("ANIREC_DATA", "ANIREC_CACHE")


def job(config: DictConfig) -> list[float] | None:
    """What Hydra and its launchers call for each job."""
    from anirec.sweeps import jobs

    return jobs.run_job(config)


class SearchSweeper(Sweeper):
    """The sweeper of `search=NAME`: it runs the trials that Optuna proposes by the configured launcher.

    Args:
        params: The search space: a range of values, in Hydra's syntax, for each key.
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
    """What Hydra calls when the last job of a multirun is over: failures are told again, and decide the exit status.

    With select=best or refit, one configuration is chosen and meets the test set.
    """

    config: ClassVar[DictConfig | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """What jobs in other processes, perhaps on other machines, must know."""
        SweepEnd.config = config
        folder = Path(config.hydra.sweep.dir).resolve()
        pin(config, "hydra.sweep.dir", folder)
        for name in PLACES:
            if name in os.environ:
                pin(config, f"hydra.job.env_set.{name}", os.environ[name])
        if config.hydra.runtime.choices["hydra/launcher"] not in (None, "basic") and "search" not in config:
            print(f"sweep {os.path.relpath(folder)}", file=sys.stderr)  # jobs elsewhere may be silent for long
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors of sweeper and launcher come out as themselves

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        from rich.markup import escape

        from anirec.metrics.names import objectives
        from anirec.tracking.console import CONSOLE, print_failure, print_sweep, relative_path

        sweep = Path(config.hydra.sweep.dir)
        failed = print_sweep(sweep) > 0
        several = len(objectives(config.objective)) > 1
        if config.select and several:  # `validate` lets only a search come here: it has shown its Pareto front
            CONSOLE.print(f"To test one of them: [bold]anirec select {escape(relative_path(sweep))} --metric val/…[/]")
        elif config.select:
            from anirec.sweeps.select import select

            try:
                select(sweep, refit=config.select == "refit", trust=True)
            except Exception as error:  # Hydra would make a warning of it
                print_failure(None, error)
                failed = True
        if failed:
            sys.exit(1)


def main(arguments: list[str]) -> None:
    """Run the command line `anirec run …`."""
    sys.argv[1:] = arguments
    exit_with_sweep()  # a study's, say
    mark_sweep_process()
    sys.modules[PLUGIN] = sys.modules[__name__]
    Plugins.instance().register(SearchSweeper)
    try:
        hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(job)()
    except Exception as error:
        if SweepEnd.config is None or isinstance(error, UserError):  # of a search that cannot begin
            raise
        report_broken_sweep(Path(SweepEnd.config.hydra.sweep.dir), error)
        sys.exit(1)


def report_broken_sweep(sweep: Path, error: Exception) -> None:
    """Say how far a sweep came whose launcher or sweeper gave up, as when the process of a job was killed."""
    from anirec.tracking.console import CONSOLE, print_failure, print_sweep

    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()  # ends the jobs: they are told as killed
    write_text(sweep / "error.txt", "".join(traceback.format_exception(error)))
    print_failure(sweep, error)
    CONSOLE.print(
        "The sweep ends here. The same command goes on with a search; with sweep.skip_done=true, with any sweep."
    )
    print_sweep(sweep)
