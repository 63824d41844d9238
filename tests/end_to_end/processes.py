"""Run the command line in a process of its own: a new Python, or a fork of one that has imported heavy libraries."""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

# Imported by multiprocessing's fork server. Neither polars nor anirec, which imports it: polars starts threads, which a
# fork does not inherit.
HEAVY = ["anirec.lightning", "torchvision", "transformers", "timm", "numba", "matplotlib.pyplot"]
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(HEAVY)
SECONDS = 300


def run_new(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m anirec` in a folder, with only these environment variables."""
    line = [sys.executable, "-m", "anirec", *arguments]
    return subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False)


def run_forked(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Do the same in a fork, which saves seconds; variables that the heavy libraries read at import have no effect."""
    with tempfile.TemporaryDirectory() as folder_of_output:
        files = [Path(folder_of_output) / name for name in ("stdout", "stderr")]
        process = FORKS.Process(target=command, args=(arguments, folder, variables, files))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, SECONDS, *(path.read_bytes() for path in files))
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in files))


def command(arguments: list[str], folder: Path, variables: dict[str, str], files: list[Path]) -> None:
    """Run in the fork, as the leader of a new process group."""
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
