"""Run compiled kernels in several threads.

Each call gets its own range of rows to write, so the number of threads does not change the result.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def in_threads(task: Callable[[int, int], None], n: int, *, chunk: int) -> None:
    """Run `task(start, stop)` over the range 0 to n in chunks, in as many threads as torch uses.

    Kernels compiled with `nogil` run in parallel; numba's own `parallel=True` takes many times longer to compile.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ranges = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
        for future in [pool.submit(task, *chunk_range) for chunk_range in ranges]:
            future.result()
