"""Commands as forks of one process that has imported the heavy libraries: each starts at once, as if called anew."""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

# Neither anirec nor polars: its threads would not survive the fork.
HEAVY = ["torch", "torchvision", "pytorch_lightning", "transformers", "timm", "numba", "matplotlib.pyplot"]
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(HEAVY)
SECONDS = 300


def forked(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What `python -m anirec` with these arguments did in that folder, with these environment variables alone."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / name for name in ("stdout", "stderr")]
        process = FORKS.Process(target=command, args=(arguments, folder, variables, files))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            raise subprocess.TimeoutExpired(arguments, SECONDS, *(path.read_bytes() for path in files))
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in files))


def started(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The same by a new Python, which imports everything."""
    line = [sys.executable, "-m", "anirec", *arguments]
    return subprocess.run(
        line, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def command(arguments: list[str], folder: Path, variables: dict[str, str], files: list[Path]) -> None:
    """The command, in a process and a process group of its own."""
    os.setsid()
    for descriptor, path in enumerate(files, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [str(folder), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["anirec", *arguments]
    runpy.run_module("anirec", run_name="__main__", alter_sys=True)
