"""Hands a command line to Hydra. Light: a job imports what it needs when it runs, perhaps in another process."""

import sys
from pathlib import Path

import hydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from anirec.composition import conf_folder
from anirec.worker import begin_sweep


def job(config: DictConfig) -> float | None:
    """What Hydra and its launchers call for each job."""
    from anirec import jobs

    return jobs.job(config)


class SweepEnd(Callback):
    """What Hydra calls when the last job of a multirun is over: failures are told again, and decide the exit status."""

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        from anirec.tracking.console import show_sweep

        if show_sweep(Path(config.hydra.sweep.dir)):
            sys.exit(1)


def main(arguments: list[str]) -> None:
    """Run the command line `anirec run …`."""
    sys.argv[1:] = arguments
    begin_sweep()
    hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(job)()
