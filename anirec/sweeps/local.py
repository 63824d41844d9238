"""Jobs in processes of this machine: forked from a server that has imported the heavy libraries.

The server starts with the first job and computes nothing: a fork inherits neither threads nor an initialised GPU.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from typing import Any, TextIO

from hydra import version
from hydra.core.utils import JobReturn, JobRuntime, env_override, run_job, setup_globals
from omegaconf import DictConfig, open_dict

from anirec.sweeps.worker import exit_with_sweep

# None of them imports polars, which starts threads.
PRELOADED = [
    *("anirec.lightning", "numba", "scipy.sparse", "scipy.special", "hydra.core.utils", "rich.table"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure"),
]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
GPU_CHECK = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # torch then counts GPUs without initialising them
KILLED = "The process of a job was killed, perhaps because memory ran out. The other jobs were stopped too."
PATIENCE = 5.0  # seconds until a job that has not ended is interrupted again: a library may have ignored it
parts: dict[str, Any] = {}  # of this process: what it needs to compose and run a job


class Pool:
    """Processes that run the jobs of a sweep; each has an equal share of the cores as threads.

    Args:
        n_processes: Number of processes; -1: one per core.
        parts: Arguments of Hydra's `run_job` that all jobs share: `hydra_context`, `task_function`, and `config`.
    """

    def __init__(self, n_processes: int, parts: Mapping[str, Any]) -> None:
        from joblib import cpu_count

        n_cores = cpu_count()  # those that this process may use
        self.n_processes = n_processes if n_processes > 0 else n_cores
        self.parts = dict(parts)
        share = str(max(1, n_cores // self.n_processes))
        threads = {name: share for name in THREADS if name not in os.environ}
        self.variables = {**threads, **GPU_CHECK, **parts["config"].hydra.job.env_set}
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)
        with env_override(self.variables):  # the server imports while the jobs are still composed
            forkserver.ensure_running()
        self.lock = threading.Lock()
        self.executor: ProcessPoolExecutor | None = None

    def run(self, jobs: Sequence[Sequence[str]], *, first: int) -> Iterator[tuple[int, JobReturn]]:
        """Run jobs, and yield the number and the result of each when it has ended. Threads may call this at once.

        Args:
            jobs: Overrides of each job.
            first: Number of the first job.

        Raises:
            RuntimeError: The process of a job was killed.
            KeyboardInterrupt: The jobs have been interrupted, and have recorded that.
        """
        with self.lock:
            executor = self.executor = self.executor or self.start()
            with env_override(self.variables):  # of the server, and so of its forks
                futures = {executor.submit(run_here, first + i, list(job)): first + i for i, job in enumerate(jobs)}
        try:
            left, processes = set(futures), set(multiprocessing.active_children())
            while left:  # a wait without a timeout may never notice Ctrl-C, which another thread may receive
                ended, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
                processes.update(multiprocessing.active_children())
                if not ended and any(process.exitcode is not None for process in processes):
                    raise BrokenProcessPool  # the executor does not watch the process that it has started last
                for future in ended:
                    yield futures[future], future.result()
        except BrokenProcessPool:
            self.executor = None
            kill_children()  # the executor's SIGTERM does not end a job in Lightning
            raise RuntimeError(KILLED) from None
        except KeyboardInterrupt:
            self.interrupt()
            raise

    def interrupt(self) -> None:
        """Interrupt the jobs that run, and wait until they have recorded it; the others do not start.

        A second Ctrl-C kills them.
        """
        if self.executor:
            self.executor.shutdown(wait=False, cancel_futures=True)
        try:
            while processes := multiprocessing.active_children():
                for process in processes:
                    os.kill(process.pid or 0, signal.SIGINT)
                connection.wait([process.sentinel for process in processes], PATIENCE)
        except KeyboardInterrupt:
            kill_children()
            raise

    def start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.n_processes, self.context, initializer=begin, initargs=(self.parts,))


def kill_children() -> None:
    for process in multiprocessing.active_children():
        process.kill()


def begin(given: dict[str, Any]) -> None:
    """Prepare this process to run jobs."""
    # Ctrl-C reaches the sweep alone, which interrupts the jobs: a second signal would stop them from recording it.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, INTERRUPTION.begin)
    exit_with_sweep()
    parts.update(given)
    version.setbase("1.3")
    setup_globals()
    JobRuntime.instance().set("name", given["config"].hydra.job.name)


def run_here(number: int, overrides: list[str]) -> JobReturn:
    """Compose and run a job in this process."""
    with INTERRUPTION.of_job(), numbered_lines(number):
        loader = parts["hydra_context"].config_loader
        config: DictConfig = loader.load_sweep_config(parts["config"], overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return run_job(
            hydra_context=parts["hydra_context"],
            task_function=parts["task_function"],
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


class Interruption:
    """The interruption of this process: of its job, and of those that it would take next from the executor's queue."""

    def __init__(self) -> None:
        self.has_job = self.has_begun = False

    def begin(self, *_: object) -> None:
        """Handle the signal."""
        self.has_begun = True
        if self.has_job:
            raise KeyboardInterrupt

    @contextmanager
    def of_job(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in the block when the signal arrives, or if it has arrived before."""
        self.has_job = True
        try:
            if self.has_begun:
                raise KeyboardInterrupt
            yield
        finally:
            self.has_job = False


INTERRUPTION = Interruption()


@contextmanager
def numbered_lines(number: int) -> Iterator[None]:
    """Write what a job prints in whole lines that begin with its number, as other processes write to the same place."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams = tuple(NumberedLines(stream, f"job {number}: ") for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.close()


class NumberedLines(io.TextIOBase):
    """A text stream that writes whole lines to another one, each with a prefix. It is no terminal.

    >>> lines = NumberedLines(sys.stdout, "job 3: ")
    >>> for text in ("val/rm", "se 1.04\\n", "job 3: model=svd\\n10 %\\r20 %\\n"):
    ...     _ = lines.write(text)
    job 3: val/rmse 1.04
    job 3: model=svd
    job 3: 20 %
    """

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self.stream, self.prefix = stream, prefix
        self.rest, self.lock = "", threading.Lock()

    def write(self, text: str) -> int:
        with self.lock:
            *lines, self.rest = (self.rest + text).split("\n")
            self.write_lines(lines)
        return len(text)

    def write_lines(self, lines: Sequence[str]) -> None:
        shown = [self.prefix + line.rpartition("\r")[2].removeprefix(self.prefix) for line in lines]
        if shown:
            self.stream.write("".join(f"{line}\n" for line in shown))
            self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def close(self) -> None:
        """Write an unfinished last line. The other stream stays open."""
        if self.rest:
            self.write_lines([self.rest])
            self.rest = ""
