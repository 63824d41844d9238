"""Worker processes of a sweep: they exit when the sweep is killed."""

import os
import threading
import time
from functools import lru_cache

SWEEP = "ANIREC_SWEEP_PROCESS"


def mark_sweep_process() -> None:
    """Mark this process, in the environment of its future children, as the one that runs the sweep."""
    os.environ[SWEEP] = str(os.getpid())


@lru_cache(maxsize=1)
def exit_with_sweep() -> None:
    """If this process is a child of the sweep, exit when the sweep does. On a cluster, the scheduler does this."""
    sweep = os.environ.get(SWEEP)
    if sweep != str(os.getppid()):
        return

    def watch() -> None:
        while str(os.getppid()) == sweep:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
