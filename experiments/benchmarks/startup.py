"""CPU seconds of whole commands, and their ratio to `python -c "import torch"`, all measured in one run.

python -m experiments.benchmarks.startup [REPEATS]     on generated ratings; the median of the repeats is printed
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.options import create_parser

DATA = ["dataset=demo_ratings", "trainer=cpu"]
# Name, arguments after `python -m anirec` ({ease}: folder of a run of ease), and exit status.
COMMANDS = [
    ("run popularity", ["run", *DATA, "model=popularity"], 0),
    ("run bias", ["run", *DATA, "model=bias"], 0),
    ("run svd", ["run", *DATA, "model=svd"], 0),
    ("run, skip_done", ["run", *DATA, "model=ease", "sweep.skip_done=true"], 0),
    ("recommend", ["recommend", "{ease}", "--user", "{user}"], 0),
    ("predict", ["predict", "{ease}", "--input", "rows.csv", "--output", "predicted.csv"], 0),
    ("select", ["select", "outputs/demo_ratings"], 0),
    ("compare", ["compare", "outputs/demo_ratings"], 0),
    ("data list", ["data", "list"], 0),
    ("data describe", ["data", "describe", "demo_ratings"], 0),
    ("validate", ["validate", *DATA, "model=svd"], 0),
    ("unknown key", ["run", *DATA, "model=svd", "model.lrr=1"], 2),
    ("unknown title", ["recommend", "{ease}", "--likes", "Cowboi Bepop=9"], 2),
    ("unknown user", ["recommend", "{ease}", "--user", "nobody"], 2),
    ("missing dump", ["run", "dataset=mal_2016", "model=bias", "paths.data=nowhere"], 1),
    ("--help", ["--help"], 0),
]


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("repeats", nargs="?", type=int, default=3, help="of each command; default: 3")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = {**os.environ, "ANIREC_CACHE": str(folder / "cache")}
        for command in (
            ["data", "prepare", "demo_ratings"],
            ["run", *DATA, "model=ease"],
            ["run", *DATA, "model=bias"],
        ):
            cpu_seconds([sys.executable, "-m", "anirec", *command], folder, variables)
        (ease,) = (folder / "outputs" / "demo_ratings" / "ease").iterdir()
        import polars as pl

        rows = pl.read_parquet(ease / "predictions.parquet", glob=False).select("user_id", "item_id").head(100)
        rows.write_csv(folder / "rows.csv")
        found = {"ease": str(ease.relative_to(folder)), "user": str(rows["user_id"][0])}
        torch = median([sys.executable, "-c", "import torch"], folder, variables, repeats=repeats)
        table = Table("command", "CPU s", "ratio", caption=f"import torch takes {torch:.2f} s", box=None)
        for what, arguments, status in COMMANDS:
            line = [sys.executable, "-m", "anirec", *(argument.format(**found) for argument in arguments)]
            seconds = median(line, folder, variables, repeats=repeats, status=status)
            table.add_row(what, f"{seconds:.2f}", f"{seconds / torch:.2f}")
        Console().print(table)


def median(line: list[str], folder: Path, variables: dict[str, str], *, repeats: int, status: int = 0) -> float:
    return statistics.median(cpu_seconds(line, folder, variables, status=status) for _ in range(repeats))


def cpu_seconds(line: list[str], folder: Path, variables: dict[str, str], *, status: int = 0) -> float:
    """Run a command and return the user and system time of its processes.

    Raises:
        RuntimeError: The command ends with another exit status than expected.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(line)}: exit status {done.returncode}, not {status}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
