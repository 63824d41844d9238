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
GO_ON = ["sweep.skip_done=true", "resume=true"]
COSTS = ("wall_seconds", "fit_seconds", "peak_memory_mb")


def main() -> None:
    console = Console(highlight=False)
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(time.time())
    chance = random.Random(seed)
    dataset = "mal_2016" if os.environ.get("ANIREC_DATA") else "demo_ratings"
    with tempfile.TemporaryDirectory() as name:
        whole, two, killed = (Path(name) / part for part in ("one process", "two processes", "killed twice"))
        command = ["run", "-m", f"dataset={dataset}", *JOBS]
        alone = finish(whole, command)
        together = finish(two, [*command, *TWO])
        console.print(f"{N_JOBS} jobs on {dataset}: one process {alone:.0f} s, two {together:.0f} s: ", end="")
        console.print(f"{alone / together:.2f} x")
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


def start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "anirec", *command], cwd=folder, stdout=log, stderr=log)


def finish(folder: Path, command: list[str]) -> float:
    """Seconds that the whole command took."""
    began = time.perf_counter()
    if start(folder, command).wait():
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
    from anirec.tracking.run_folder import status_of

    return Counter(status_of(path.parent)["state"] for path in folder.glob("outputs/*/*/*/config.yaml"))


def finished(folder: Path) -> dict[str, float]:
    """Every finished run, and when it was measured."""
    from anirec.tracking.run_folder import status_of

    runs = [path.parent for path in folder.glob("outputs/*/*/*/metrics.json")]
    return {run.name: (run / "metrics.json").stat().st_mtime for run in runs if status_of(run)["state"] == "finished"}


def table(folder: Path) -> pl.DataFrame:
    """The comparison of the folder's last sweep, in full precision, without what it cost."""
    sweep = max((folder / "outputs" / "sweeps").iterdir())
    command = [sys.executable, "-m", "anirec", "compare", str(sweep), "--csv", "table.csv"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return pl.read_csv(folder / "table.csv").drop(COSTS).sort("model", "settings")


if __name__ == "__main__":
    main()
