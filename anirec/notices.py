"""Warnings for the user: each message is printed once per command, across all of its processes."""

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning_utilities.core.rank_zero import rank_zero_only

from anirec.printable import clean

# Environment variables with the number of this process in a distributed run, as Lightning reads them.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
if not hasattr(rank_zero_only, "rank"):  # Lightning, which sets it, is imported later or not at all
    rank_zero_only.rank = int(next((os.environ[name] for name in RANKS if name in os.environ), 0))  # type: ignore[attr-defined]

FOLDER_VARIABLE = "ANIREC_RUN_FOLDER"  # environment variable that passes the run folder to the other processes of a run
LOG = logging.getLogger("anirec")
SHARED = "ANIREC_WARNINGS"  # folder in which the processes of a command record the messages that have been printed
printed: set[str] = set()  # messages of this process


def warn(message: str) -> None:
    """Print a warning, unless it has been printed before or this is not the main process of distributed training."""
    if rank_zero_only.rank == 0 and message not in printed and is_first(message):  # type: ignore[attr-defined]
        printed.add(message)
        LOG.warning("%s", clean(message))


def is_first(message: str) -> bool:
    """Return whether no other process of the command has printed the message, and record it as printed.

    Processes on machines without a shared disk do not know of each other's messages.
    """
    if SHARED not in os.environ:
        return True
    try:
        (Path(os.environ[SHARED]) / hashlib.sha256(message.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # the folder does not exist on this machine
        pass
    return True


@contextmanager
def on_terminal() -> Iterator[None]:
    """Print warnings on stderr within the block, including those of Python and libraries, once for all processes."""
    if LOG.handlers:  # called from another command in the same process
        yield
        return
    handler, before = logging.StreamHandler(), warnings.showwarning
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    LOG.addHandler(handler)
    warnings.showwarning = lambda message, *_, **__: warn(str(message))  # without the line of code
    printed.clear()
    try:
        if SHARED in os.environ:  # a child process of the command
            yield
            return
        with TemporaryDirectory(prefix="anirec-") as folder:
            os.environ[SHARED] = folder
            try:
                yield
            finally:
                del os.environ[SHARED]
    finally:
        warnings.showwarning = before
        LOG.removeHandler(handler)
