"""Choice of the folder of a run: a new one, or that of the run to resume."""

import os
from pathlib import Path

from omegaconf import DictConfig

from anirec.errors import UserError
from anirec.notices import FOLDER_VARIABLE, rank_zero_only
from anirec.tracking.console import CONSOLE
from anirec.tracking.folders import find_unfinished, new_folder


def is_helper_process() -> bool:
    """Whether this is not the first process of a distributed run."""
    return rank_zero_only.rank > 0  # type: ignore[attr-defined]


def choose_folder(config: DictConfig, parent: Path, run: str) -> Path:
    """Return the folder of this run: a new one, or that of the run to resume. The first process chooses it for all.

    Args:
        config: Composed config.
        parent: Folder of the runs of its dataset and model.
        run: Id of the run; see `anirec.config.identity`.

    Raises:
        UserError: The folder cannot be created; or the processes were not started by Lightning and do not know it.
    """
    if is_helper_process():
        if FOLDER_VARIABLE not in os.environ:
            raise UserError(
                f"This process does not know the run folder. Use trainer=ddp, or set {FOLDER_VARIABLE} everywhere."
            )
        return Path(os.environ[FOLDER_VARIABLE])
    path = find_unfinished(parent, run) if config.resume else None
    if path:
        CONSOLE.print("Resuming from the last checkpoint")
    elif config.resume and not config.sweep.skip_done:
        CONSOLE.print("No unfinished run of this config; starting a new one")
    try:
        path = path or new_folder(parent, run)
    except OSError as error:
        raise UserError(
            f"paths.outputs={config.paths.outputs}: cannot create a run folder there: {error.strerror}"
        ) from None
    os.environ[FOLDER_VARIABLE] = str(path)
    return path
