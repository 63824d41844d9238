"""Kernels on several cores: each call gets its own range and its own output rows, so threads change no result."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def in_threads(task: Callable[[int, int], None], n: int, *, chunk: int) -> None:
    """Run `task(start, stop)` over 0..n in chunks, on as many threads as torch uses.

    Compiled with `nogil`, kernels run side by side; numba's own `parallel=True` takes many times longer to compile.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ranges = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
        for done in [pool.submit(task, *piece) for piece in ranges]:
            done.result()
