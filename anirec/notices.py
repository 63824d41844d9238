"""Warnings for the user: each message is shown once a command, whatever number of processes work for it."""

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning_utilities.core.rank_zero import rank_zero_only

LOG = logging.getLogger("anirec")
SHARED = "ANIREC_WARNINGS"  # the folder in which the processes of a command mark what one of them has shown
shown: set[str] = set()  # by this process


def warn(message: str) -> None:
    """Show a warning, unless it was shown before, or this is a helping process of distributed training."""
    if getattr(rank_zero_only, "rank", 0) == 0 and message not in shown and is_first(message):
        shown.add(message)
        LOG.warning("%s", message)


def is_first(message: str) -> bool:
    """Whether no other process of the command has shown the message, as far as they share a disk; mark it as shown."""
    if SHARED not in os.environ:
        return True
    try:
        (Path(os.environ[SHARED]) / hashlib.sha256(message.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # a machine that does not see the folder
        pass
    return True


@contextmanager
def on_terminal() -> Iterator[None]:
    """Show warnings on stderr, Python's own and those of libraries included, each once for all processes in here."""
    if LOG.handlers:  # a command that another one of this process calls
        yield
        return
    handler, before = logging.StreamHandler(), warnings.showwarning
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    LOG.addHandler(handler)
    warnings.showwarning = lambda message, *_, **__: warn(str(message))  # whose line of code it was helps nobody
    shown.clear()
    try:
        if SHARED in os.environ:  # a process that another one of the command started
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
