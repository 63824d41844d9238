"""The number of threads of a process, and compiled kernels that run in several threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

VARIABLE = "OMP_NUM_THREADS"
AT_START = os.environ.get(VARIABLE)


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


def in_threads(task: Callable[[int, int], None], n: int, *, chunk: int) -> None:
    """Run `task(start, stop)` over the range 0 to n in chunks, in as many threads as torch uses.

    Each call gets its own range of rows to write, so the number of threads does not change the result.
    Kernels compiled with `nogil` run in parallel; numba's own `parallel=True` takes many times longer to compile.
    """
    ranges = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    if len(ranges) == 1:
        task(*ranges[0])
        return
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for future in [pool.submit(task, *chunk_range) for chunk_range in ranges]:
            future.result()
