"""A sweep of five models: one process against two, and killed twice against uninterrupted.

python -m experiments.benchmarks.sweeps [SEED [SPLITS]]    on mal_2016 if $ANIREC_DATA is set, else on generated ratings

The sweep has a job for each model and each of SPLITS split seeds (8: 40 jobs).
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl
from rich.console import Console

from experiments.benchmarks.options import create_parser

MODELS = ("popularity", "bias", "item_knn", "svd", "svdpp")
TWO = ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # as each process of a sweep on two cores
RESUME = ["sweep.skip_done=true", "resume=true"]
COSTS = ("wall_seconds", "fit_seconds", "peak_memory_mb")


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "seed", nargs="?", type=int, default=int(time.time()), help="of the times at which it is killed"
    )
    parser.add_argument("splits", nargs="?", type=int, default=8, help="number of split seeds; default: 8")
    given, console = parser.parse_args(), Console(highlight=False)
    seed, n_splits = given.seed, given.splits
    n_jobs = n_splits * len(MODELS)
    jobs = [f"model={','.join(MODELS)}", f"split.seed={','.join(map(str, range(n_splits)))}", "trainer=cpu"]
    generator = random.Random(seed)
    dataset = "mal_2016" if os.environ.get("ANIREC_DATA") else "demo_ratings"
    with tempfile.TemporaryDirectory() as name:
        parts = ("one process", "one thread", "two processes", "killed twice")
        one_process, one_core, two, killed = (Path(name) / part for part in parts)
        command = ["run", "-m", f"dataset={dataset}", *jobs]
        alone, alone_on_one_core = finish(one_process, command), finish(one_core, command, **ONE_THREAD)
        together = finish(two, [*command, *TWO])
        console.print(f"{n_jobs} jobs on {dataset}: two processes take {together:.0f} s")
        console.print(f"one process with the default number of threads takes {alone:.0f} s: {alone / together:.2f} x")
        console.print(
            f"one process with one thread takes {alone_on_one_core:.0f} s: {alone_on_one_core / together:.2f} x"
        )
        tables = [table(folder) for folder in (one_process, two)]
        console.print(f"Both give the same table, except for times and memory: {tables[0].equals(tables[1])}")
        for stop in (1, 2):
            moment = generator.uniform(0.15, 0.45) * together
            kill(killed, [*command, *TWO, *RESUME], after=moment)
            done = states(killed)
            console.print(f"Killed (SIGKILL) after {moment:.0f} s, number {stop}: states of runs {dict(done)}")
        before = finished(killed)
        took = finish(killed, [*command, *TWO, *RESUME])
        after = finished(killed)
        console.print(f"Resumed, finished after another {took:.0f} s: states of runs {dict(states(killed))}")
        kept = all(after.get(run) == when for run, when in before.items())
        console.print(f"Finished jobs: {len(after)} of {n_jobs}; earlier ones unchanged: {kept}")
        console.print(f"Same table as the uninterrupted sweep: {table(killed).equals(tables[1])} (seed {seed})")


def start(folder: Path, command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    line, variables = [sys.executable, "-m", "anirec", *command], {**os.environ, **variables}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(line, cwd=folder, env=variables, stdout=log, stderr=log)


def finish(folder: Path, command: list[str], **variables: str) -> float:
    """Run a command and return its seconds."""
    began = time.perf_counter()
    if start(folder, command, **variables).wait():
        sys.exit((folder / "log.txt").read_text())
    return time.perf_counter() - began


def kill(folder: Path, command: list[str], *, after: float) -> None:
    """Start a sweep and kill only its main process; its workers must end by themselves."""
    process = start(folder, command)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)


def states(folder: Path) -> Counter[str]:
    from anirec.tracking.folders import status_of

    return Counter(status_of(run)["state"] for run in runs(folder))


def runs(folder: Path) -> list[Path]:
    """Return the run folders, without the links in the folders of sweeps."""
    found = [path.parent for path in folder.glob("outputs/*/*/*/config.yaml")]
    return [path for path in found if path.parts[-3] != "sweeps"]


def finished(folder: Path) -> dict[str, float]:
    """Return the time at which each finished run wrote its metrics."""
    from anirec.tracking.folders import status_of

    done = [run for run in runs(folder) if status_of(run)["state"] == "finished"]
    return {run.name: (run / "metrics.json").stat().st_mtime for run in done}


def table(folder: Path) -> pl.DataFrame:
    """Return the comparison of the folder's last sweep, in full precision, without time and memory."""
    sweep = max((folder / "outputs" / "sweeps").iterdir())
    command = [sys.executable, "-m", "anirec", "compare", str(sweep), "--csv", "table.csv"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return pl.read_csv(folder / "table.csv", glob=False).drop(COSTS).sort("model", "settings")


if __name__ == "__main__":
    main()
