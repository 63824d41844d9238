"""The number of threads of a process, and compiled kernels that run in several threads."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch

VARIABLE = "OMP_NUM_THREADS"
AT_START = os.environ.get(VARIABLE)
INSIDE = threading.local()  # `is_task`: whether this thread runs a task of `in_threads`


def set_threads(n: int | None) -> None:
    """Set the number of threads that torch, kernels and BLAS use in this process.

    Polars and readers of files keep to the number with which the process started.

    Args:
        n: Number of threads, >= 1. None: the value of OMP_NUM_THREADS with which this process started, or else the
            number of cores that it may use, by its affinity and the quota of its container.
    """
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    os.environ.pop(VARIABLE, None)
    if given := AT_START if n is None else str(n):
        os.environ[VARIABLE] = given  # of processes that this one starts
    if n is None:
        n = int(given) if given and given.isdigit() and int(given) else cpu_count()
    threadpool_limits(n)
    torch.set_num_threads(n)


@cache
def pool_of(n: int) -> ThreadPoolExecutor:
    """Return the pool of n threads of this process; starting threads takes as long as a short task."""
    return ThreadPoolExecutor(n)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool_of.cache_clear)  # threads do not survive a fork


def in_threads(task: Callable[[int, int], None], n: int, *, chunk: int) -> None:
    """Run `task(start, stop)` over the range 0 to n in chunks, in as many threads as torch uses.

    Each call gets its own range of rows to write, so the number of threads does not change the result.
    Kernels compiled with `nogil` run in parallel; numba's own `parallel=True` takes many times longer to compile.
    A task that calls this function itself runs its chunks one after the other.
    """
    ranges = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    n_threads = 1 if getattr(INSIDE, "is_task", False) else min(torch.get_num_threads(), len(ranges))
    left = iter(ranges)  # each thread takes the next one

    def work() -> None:
        INSIDE.is_task = True
        try:
            for chunk_range in left:
                task(*chunk_range)
        except BaseException:
            for _ in left:  # no further task begins
                pass
            raise
        finally:
            INSIDE.is_task = False

    if n_threads <= 1:
        for chunk_range in left:
            task(*chunk_range)
        return
    others = [pool_of(torch.get_num_threads()).submit(work) for _ in range(n_threads - 1)]
    try:
        work()
    finally:
        wait(others)
    for other in others:
        other.result()
