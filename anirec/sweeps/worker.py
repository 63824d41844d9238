"""Worker processes of a sweep: they exit when the sweep is killed."""

import multiprocessing
import os
import threading
import time
from functools import lru_cache

SWEEP = "ANIREC_SWEEP_PROCESS"
VARIED = "ANIREC_SWEEP_VARIES"  # environment variable of each job: the keys that the sweep varies
START_FOLDER = "ANIREC_SWEEP_FOLDER"  # environment variable of each job: the folder in which the sweep was started
INTERRUPTED = 130  # exit status after Ctrl-C


def mark_sweep_process() -> None:
    """Mark this process, in the environment of its future children, as the one that runs the sweep."""
    os.environ[SWEEP] = str(os.getpid())


@lru_cache(maxsize=1)
def exit_with_sweep() -> None:
    """If this process is a child of the sweep, exit when the sweep does. On a cluster, the scheduler does this."""
    sweep, parent = os.environ.get(SWEEP), multiprocessing.parent_process()
    if parent is None and sweep != str(os.getppid()):
        return

    def watch() -> None:
        if parent:
            parent.join()  # of a forked process too, whose parent by number is the server
        while parent is None and str(os.getppid()) == sweep:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
