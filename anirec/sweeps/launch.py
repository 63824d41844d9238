"""Launch of runs and sweeps with Hydra. Imports little: a job imports what it needs, often in another process."""

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import hydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from anirec.atomic import write_text
from anirec.config.compose import conf_folder, pin
from anirec.config.search_space import parse_overrides
from anirec.errors import UserError
from anirec.sweeps.worker import INTERRUPTED, START_FOLDER, VARIED, exit_with_sweep, mark_sweep_process

if TYPE_CHECKING:
    from anirec.sweeps.estimate import Estimate

PLUGIN = "hydra_plugins.anirec"  # the name of this module for Hydra, which accepts plugins only from that package
DATA_FOLDERS = ("ANIREC_DATA", "ANIREC_CACHE")


def job(config: DictConfig) -> list[float] | None:
    """Run one job; Hydra and its launchers call this."""
    from anirec.sweeps import jobs

    return jobs.run_job(config)


class JobSweeper(Sweeper):
    """The sweeper of `-m`: every combination of the values, without jobs that repeat others.

    Unlike Hydra's own, it does not compose each job before the first is launched: `validate` has checked the jobs, and
    each launcher composes them. Models without randomness ignore the seed.

    Args:
        max_batch_size: Number of jobs that the launcher gets at once; None: all.
        params: Further overrides, by key.
    """

    __module__ = PLUGIN

    def __init__(self, max_batch_size: int | None, params: DictConfig | None) -> None:
        self.max_batch_size, self.params = max_batch_size, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.job_launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.sweep_config = config

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        from anirec.config.repetitions import drop_repetitions
        from anirec.config.validate import sweep_axes
        from anirec.sweeps.estimate import Estimate

        axes = sweep_axes([*(f"{key!s}={value}" for key, value in self.params.items()), *arguments])
        jobs, notes = drop_repetitions(list(product(*axes)))
        for note in notes:
            print(note, file=sys.stderr)
        folder = Path(self.sweep_config.hydra.sweep.dir)
        write_text(folder / "multirun.yaml", OmegaConf.to_yaml(self.sweep_config))
        SweepEnd.estimate = Estimate(folder, len(jobs), at_once=getattr(self.job_launcher, "n_processes", 1))
        results: list[JobReturn] = []
        size = self.max_batch_size or len(jobs)
        for first in range(0, len(jobs), size):
            results += self.job_launcher.launch(jobs[first : first + size], initial_job_idx=first)
        for result in results:
            _ = result.return_value  # raises the error of a job that has raised one
        return results


class LocalLauncher(Launcher):
    """The launcher `local`: run jobs in processes of this machine.

    Args:
        n_jobs: Number of processes; -1: one per core.
    """

    __module__ = PLUGIN

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from anirec.sweeps.local import Pool

        parts = {"hydra_context": hydra_context, "task_function": task_function, "config": config}
        self.pool = Pool(self.n_jobs, parts)

    @property
    def n_processes(self) -> int:
        return self.pool.n_processes

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        results = {}
        for number, result in self.pool.run(job_overrides, first=initial_job_idx):
            results[number] = result
            SweepEnd.count(number)
        return [results[number] for number in sorted(results)]

    def interrupt(self) -> None:
        """Interrupt the jobs of all threads that have called `launch`."""
        self.pool.interrupt()


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

    config: ClassVar[Any] = None  # of the multirun
    estimate: ClassVar["Estimate | None"] = None  # in the process that launches the jobs

    @classmethod
    def count(cls, number: int) -> None:
        """Count a job that has ended, and print the time that is left if it is long."""
        if cls.estimate and (sentence := cls.estimate.count(number)):
            print(sentence, file=sys.stderr)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        if self.estimate:
            self.count(config.hydra.job.num)

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Fix the current folder, that of the sweep and those of the data, for jobs in other processes or machines."""
        SweepEnd.config = config
        folder = Path(config.hydra.sweep.dir).resolve()
        pin(config, "hydra.sweep.dir", folder)
        for name in DATA_FOLDERS:
            if name in os.environ:
                pin(config, f"hydra.job.env_set.{name}", os.environ[name])
        pin(config, f"hydra.job.env_set.{VARIED}", " ".join(varied_keys(config)))
        pin(config, f"hydra.job.env_set.{START_FOLDER}", Path.cwd())
        if config.hydra.runtime.choices["hydra/launcher"] not in (None, "basic") and "search" not in config:
            print(f"sweep {os.path.relpath(folder)}", file=sys.stderr)  # output of the jobs may be late or missing
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # print equal lines of several jobs too
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


def varied_keys(config: DictConfig) -> list[str]:
    """Return the keys that a multirun or search varies."""
    params = config.hydra.sweeper.get("params") or {}
    swept = [one.get_key_element() for one in parse_overrides(config.hydra.overrides.task) if one.is_sweep_override()]
    return list(dict.fromkeys([*map(str, params), *swept]))


def main(arguments: list[str], *, typed: Sequence[str]) -> None:
    """Run `anirec run` with these arguments.

    Args:
        arguments: Arguments for Hydra.
        typed: Arguments as the user typed them.
    """
    sys.argv[1:] = arguments
    exit_with_sweep()  # the parent may be a study
    mark_sweep_process()
    sys.modules[PLUGIN] = sys.modules[__name__]
    for plugin in (JobSweeper, SearchSweeper, LocalLauncher):
        Plugins.instance().register(plugin)
    try:
        hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(job)()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        report_interruption(typed)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if SweepEnd.config is None or isinstance(error, UserError):  # the search could not start
            raise
        report_broken_sweep(Path(SweepEnd.config.hydra.sweep.dir), error, typed)
        sys.exit(1)


def report_interruption(typed: Sequence[str]) -> None:
    """Report a run or a sweep that the user has interrupted."""
    from anirec.tracking.choose_folder import is_helper_process
    from anirec.tracking.console import CONSOLE

    if not is_helper_process():
        CONSOLE.print("Interrupted.")
        print_continuation(typed)


def report_broken_sweep(sweep: Path, error: Exception, typed: Sequence[str]) -> None:
    """Report a sweep whose launcher or sweeper failed, for example because the process of a job was killed."""
    from anirec.tracking.console import print_failure

    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()  # ends the jobs, so that they are listed as killed
    write_text(sweep / "error.txt", "".join(traceback.format_exception(error)))
    print_failure(sweep, error)
    print_continuation(typed)


def print_continuation(typed: Sequence[str]) -> None:
    """Print how many jobs of a sweep have finished, and the command that continues a sweep or a run."""
    from anirec.tracking.console import CONSOLE, print_sweep

    config = SweepEnd.config
    more = {"resume": "resume=true"}
    if config is not None and "search" not in config:
        more["sweep.skip_done"] = "sweep.skip_done=true"
    if config is not None:
        print_sweep(Path(config.hydra.sweep.dir), n_jobs=SweepEnd.estimate.n_jobs if SweepEnd.estimate else None)
    same = [argument for argument in typed if argument.partition("=")[0] not in more]
    CONSOLE.print("This command continues:")
    CONSOLE.print(shlex.join(["anirec", "run", *same, *more.values()]), style="bold", markup=False)
