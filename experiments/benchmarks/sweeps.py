"""Forty jobs over five models: one process beside two, and a sweep killed twice beside one that nobody disturbed.

python -m experiments.benchmarks.sweeps     `mal_2016` where $ANIREC_DATA is set, else generated ratings
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

JOBS = ["model=popularity,bias,item_knn,svd,svdpp", "split.seed=1,2,3,4", "seed=1,2", "trainer=cpu"]
N_JOBS = 40
TWO = ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # as the processes of a sweep have on two cores
GO_ON = ["sweep.skip_done=true", "resume=true"]
COSTS = ("wall_seconds", "fit_seconds", "peak_memory_mb")


def main() -> None:
    console = Console(highlight=False)
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(time.time())
    chance = random.Random(seed)
    dataset = "mal_2016" if os.environ.get("ANIREC_DATA") else "demo_ratings"
    with tempfile.TemporaryDirectory() as name:
        parts = ("one process", "one thread", "two processes", "killed twice")
        whole, one_core, two, killed = (Path(name) / part for part in parts)
        command = ["run", "-m", f"dataset={dataset}", *JOBS]
        alone, alone_on_one_core = finish(whole, command), finish(one_core, command, **ONE_THREAD)
        together = finish(two, [*command, *TWO])
        console.print(f"{N_JOBS} jobs on {dataset}: two processes {together:.0f} s")
        console.print(f"one process with as many threads as it likes {alone:.0f} s: {alone / together:.2f} x")
        console.print(f"one process with one thread {alone_on_one_core:.0f} s: {alone_on_one_core / together:.2f} x")
        tables = [table(folder) for folder in (whole, two)]
        console.print(f"The same table, but for times and memory: {tables[0].equals(tables[1])}")
        for stop in (1, 2):
            moment = chance.uniform(0.15, 0.45) * together
            kill(killed, [*command, *TWO, *GO_ON], after=moment)
            done = states(killed)
            console.print(f"killed (SIGKILL) after {moment:.0f} s, time {stop}: runs so far {dict(done)}")
        before = finished(killed)
        took = finish(killed, [*command, *TWO, *GO_ON])
        after = finished(killed)
        console.print(f"started again, {took:.0f} s more: runs {dict(states(killed))}")
        kept = all(after.get(run) == when for run, when in before.items())
        console.print(f"finished jobs: {len(after)} of {N_JOBS}; those before untouched: {kept}")
        console.print(f"The undisturbed sweep's table: {table(killed).equals(tables[1])} (chance seed {seed})")


def start(folder: Path, command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    line, variables = [sys.executable, "-m", "anirec", *command], {**os.environ, **variables}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(line, cwd=folder, env=variables, stdout=log, stderr=log)


def finish(folder: Path, command: list[str], **variables: str) -> float:
    """Seconds that the whole command took."""
    began = time.perf_counter()
    if start(folder, command, **variables).wait():
        sys.exit((folder / "log.txt").read_text())
    return time.perf_counter() - began


def kill(folder: Path, command: list[str], *, after: float) -> None:
    """Kill the sweep's own process alone; its workers must end by themselves."""
    process = start(folder, command)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)


def states(folder: Path) -> Counter[str]:
    from anirec.tracking.folders import status_of

    return Counter(status_of(run)["state"] for run in runs(folder))


def runs(folder: Path) -> list[Path]:
    """Run folders; not the links to them in those of sweeps."""
    found = [path.parent for path in folder.glob("outputs/*/*/*/config.yaml")]
    return [path for path in found if path.parts[-3] != "sweeps"]


def finished(folder: Path) -> dict[str, float]:
    """Every finished run, and when it was measured."""
    from anirec.tracking.folders import status_of

    done = [run for run in runs(folder) if status_of(run)["state"] == "finished"]
    return {run.name: (run / "metrics.json").stat().st_mtime for run in done}


def table(folder: Path) -> pl.DataFrame:
    """The comparison of the folder's last sweep, in full precision, without what it cost."""
    sweep = max((folder / "outputs" / "sweeps").iterdir())
    command = [sys.executable, "-m", "anirec", "compare", str(sweep), "--csv", "table.csv"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return pl.read_csv(folder / "table.csv").drop(COSTS).sort("model", "settings")


if __name__ == "__main__":
    main()
