"""Growth of time and memory with the number of ratings, runs and jobs, and with the number of threads.

    python -m experiments.benchmarks.growth [--millions 1 4] [--threads 1 2]

Files of the form of the 2023 dump are generated. For each size, number of threads and model, a new process runs
`anirec run`, `predict` and `recommend`, and measures the parts of its work; memory is the peak beyond libraries. From
time and memory of comparing runs and of checking a sweep, those for one run or job are subtracted. Table, figure and
machine are written to outputs/benchmarks: growth.csv, growth.png, growth.json.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from rich.console import Console
from rich.table import Table

from anirec.figures.style import PAGE, STYLE
from anirec.tracking.run_folder import PeakMemory
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.output import FOLDER, write_machine, write_table

MILLIONS, THREADS, MANY = (1, 4, 16), (1, 2, 4), (10, 100, 1000)
MODELS = {"popularity": [], "svd": ["trainer.max_epochs=1"], "item_knn": []}
SMALL = 20_000  # ratings of the small input
N_LISTS = 100
SHARED = ("prepare", "load")  # parts that do not depend on the model
UNITS = {"predict": "row", "recommend": "list"}  # of parts whose work is not counted in ratings


class Growth(NamedTuple):
    """A row of the table: `work` with `threads` on an input of `n` ratings, runs or jobs; it handles `n_units` units.

    `seconds` are wall time, `cpu` those of all threads, and `megabytes` the peak memory.
    """

    work: str
    n: int
    threads: int
    unit: str
    n_units: int
    seconds: float
    cpu: float
    megabytes: float

    @property
    def microseconds(self) -> float:
        return self.seconds / self.n_units * 1e6

    @property
    def bytes(self) -> float:
        return self.megabytes / self.n_units * 1e6


class Cost(NamedTuple):
    seconds: float
    cpu: float
    megabytes: float

    def beyond(self, other: "Cost") -> "Cost":
        return Cost(*(max(0.0, mine - its) for mine, its in zip(self, other, strict=True)))


class Place(NamedTuple):
    """A folder with a dataset, in which commands run with a number of threads."""

    folder: Path
    threads: int

    def run(self, *arguments: str, module: str = "anirec") -> Cost:
        """Run a command in a new process."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), str(self.threads))
        paths = {"ANIREC_DATA": str(self.folder / "data"), "ANIREC_CACHE": str(self.folder / "cache")}
        here = {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
        command, started = [sys.executable, "-m", module, *arguments], time.perf_counter()
        with (self.folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **threads, **paths, **here}, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{(self.folder / 'log.txt').read_text()}")
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(time.perf_counter() - started, cpu, usage.ru_maxrss * 1024 / 1e6)

    def run_parts(self, model: str) -> Iterator[tuple[str, int, Cost]]:
        """Run a model in a new process; yield work, number of units (0: the ratings) and cost of each part."""
        path = self.folder / "parts.json"
        self.run("--parts", str(path), model, module="experiments.benchmarks.growth")
        for part, (n_units, *cost) in json.loads(path.read_text()).items():
            if part not in SHARED or model == next(iter(MODELS)):
                yield (part if part in SHARED else f"{part} {model}"), n_units, Cost(*cost)

    def last_run(self, model: str) -> Path:
        return max((self.folder / "outputs" / "mal_2023" / model).iterdir())


def measurements(millions: Sequence[float], threads: Sequence[int], many: Sequence[int]) -> Iterator[Growth]:
    """Yield the measurements of all sizes, each with all numbers of threads."""
    with tempfile.TemporaryDirectory() as name:
        small = Place(generate(Path(name) / "small", SMALL), max(threads))
        for model in MODELS:
            list(small.run_parts(model))  # compiles kernels
        for size in millions:
            folder = generate(Path(name) / str(size), round(size * 1e6))
            n_ratings = count_lines(folder / "data" / "mal-2023" / "users-score-2023.csv") - 1
            for n in threads:
                shutil.rmtree(folder / "cache", ignore_errors=True)
                for model in MODELS:
                    for work, n_units, cost in Place(folder, n).run_parts(model):
                        yield Growth(
                            work, n_ratings, n, UNITS.get(work.split()[0], "rating"), n_units or n_ratings, *cost
                        )
            shutil.rmtree(folder)
        yield from of_many(small, many)


def generate(folder: Path, n_ratings: int) -> Path:
    command = [sys.executable, "-m", "experiments.benchmarks.full_size", "mal_2023", str(folder / "data" / "mal-2023")]
    subprocess.run([*command, "--rows", str(n_ratings)], check=True, capture_output=True)
    return folder


def count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))


def of_many(place: Place, many: Sequence[int]) -> Iterator[Growth]:
    """Yield the cost of comparing many runs, and of checking a sweep of many jobs."""
    made = [place.last_run(model) for model in MODELS]
    outputs = place.folder / "copies"
    for number in range(max(many)):
        copy_run(made[number % len(made)], outputs / f"{number:06}", seed=number)
    starts: dict[str, Cost] = {}
    for n in (1, 1, *many):  # the first command of a kind only loads files
        listed = place.folder / f"first_{n}"
        listed.mkdir(exist_ok=True)
        for number in range(len(list(listed.iterdir())), n):
            (listed / f"{number:06}").symlink_to(outputs / f"{number:06}")
        costs = {
            ("compare", "run"): place.run("compare", listed.name),
            ("validate", "job"): place.run("validate", "-m", "dataset=mal_2023", "model=svd", f"seed=range({n})"),
        }
        for (work, unit), cost in costs.items():
            if n == 1:
                starts[work] = cost
            else:
                yield Growth(work, n, place.threads, unit, n, *cost.beyond(starts[work]))


def copy_run(run: Path, to: Path, *, seed: int) -> None:
    """Copy a run as the same run with another seed; each tenth seed begins a new configuration."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("checkpoints", "figures"))
    path = to / "provenance.json"
    about = json.loads(path.read_text())
    about["identity"]["experiment"] += f"-{seed // 30}"
    about["identity"]["settings"]["model.copy"] = seed // 30
    about["identity"]["replicate"]["seed"] = about["seed"] = seed
    path.write_text(json.dumps(about))


class Meter:
    """Costs of the parts of this process, beyond its libraries."""

    def __init__(self) -> None:
        self.libraries = PeakMemory().peak_mb()
        self.parts: dict[str, tuple[int, float, float, float]] = {}

    def measure(self, part: str, call: Callable[[], Any], n_units: int = 0) -> Any:
        """Add the cost of a call to a part, without that of the parts that are measured inside it."""
        inside = self.total()
        memory, started, cpu = PeakMemory(), time.perf_counter(), time.process_time()
        result = call()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        megabytes = (memory.peak_mb() - self.libraries) * 2**20 / 1e6
        now = self.total()
        _, *before = self.parts.get(part, (0, 0.0, 0.0, 0.0))
        own = before[0] + seconds - (now[0] - inside[0]), before[1] + cpu - (now[1] - inside[1])
        self.parts[part] = (n_units, *own, max(before[2], megabytes))
        return result

    def total(self) -> tuple[float, float]:
        """Return the seconds and CPU seconds of all parts so far."""
        return sum(cost[1] for cost in self.parts.values()), sum(cost[2] for cost in self.parts.values())

    def watch(self, owner: type, method: str, part: str) -> None:
        """Measure each call of a method."""
        original = getattr(owner, method)

        @wraps(original)
        def watched(*args: Any, **settings: Any) -> Any:
            return self.measure(part, lambda: original(*args, **settings))

        setattr(owner, method, watched)


def measure_parts(path: Path, model: str) -> None:
    """Run a model, predict its held-out rows, recommend to some of its users, and write the cost of each part."""
    import anirec.cli
    from anirec.data.ratings.datamodule import RatingData
    from anirec.inference.lists import TitleFilter
    from anirec.inference.predict import predict
    from anirec.inference.recommend import recommend
    from anirec.lightning import Trainer

    meter = Meter()
    meter.watch(RatingData, "prepare_data", "prepare")
    meter.watch(RatingData, "load", "load")
    meter.watch(Trainer, "fit", "fit")
    meter.watch(Trainer, "validate", "evaluate")
    meter.watch(Trainer, "test", "evaluate")
    sys.argv = ["anirec", "run", "dataset=mal_2023", f"model={model}", "trainer=cpu", *MODELS[model]]
    try:
        anirec.cli.main()
    except SystemExit as ended:
        if ended.code:
            raise
    run = Place(Path.cwd(), 1).last_run(model)
    rows = pl.read_parquet(run / "predictions.parquet", columns=["user_id", "item_id"], glob=False)
    rows.write_parquet("rows.parquet")
    users = [str(user) for user in rows["user_id"].unique(maintain_order=True)[:N_LISTS]]
    files = {"input": Path("rows.parquet"), "output": Path("predicted.parquet")}
    meter.measure("predict", lambda: predict(run, **files), len(rows))
    settings = {"title_filter": TitleFilter(), "k": 10, "personal": 0.0, "novelty": 0.0, "sequels": True, "seen": False}
    lists = {"users": users, "users_file": None, "likes": []}
    meter.measure("recommend", lambda: recommend(run, **lists, **settings), len(users))
    path.write_text(json.dumps(meter.parts))


def draw(rows: Sequence[Growth]) -> Any:
    """Draw time and memory per unit by the size of the input; dashed: one thread."""
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 4.2), layout="constrained")
        figure.suptitle("Cost per rating, and per row, list, run or job, by size of the input")
        panels = figure.subplots(1, 3)
        of_ratings = [row for row in rows if row.unit == "rating"]
        others = [row for row in rows if row.unit != "rating"]
        most = max(row.threads for row in rows)
        for axes, shown, value, label in (
            (panels[0], of_ratings, "microseconds", "µs per rating"),
            (panels[1], of_ratings, "bytes", "bytes per rating, peak"),
            (panels[2], others, "microseconds", "µs per row, list, run or job"),
        ):
            names = list(dict.fromkeys(row.work for row in shown))
            for number, name in enumerate(names):
                for threads in sorted({row.threads for row in shown}):
                    line = [row for row in shown if (row.work, row.threads) == (name, threads)]
                    look = {"color": colormaps["tab10"](number % 10), "marker": "osv^D<>"[number % 7], "markersize": 3}
                    style = {"linestyle": "-" if threads == most else "--", "label": name if threads == most else None}
                    points = [(row.n, getattr(row, value)) for row in line if getattr(row, value) > 0]
                    if points:
                        axes.plot(*zip(*points, strict=True), **look, **style)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_ylabel(label)
            axes.set_xlabel("ratings" if shown is of_ratings else "ratings, runs or jobs")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=6, ncols=1)
        lowest = min(row.threads for row in rows)
        if lowest < most:
            figure.text(0.99, 0.01, f"solid: {most} threads, dashed: {lowest}", ha="right", fontsize=6)
    return figure


def table(rows: Sequence[Growth]) -> Table:
    made = Table(box=None, title="Time and memory by size of the input")
    for column in ("work", "n", "threads", "s", "CPU s", "µs per", "unit", "MB", "bytes"):
        made.add_column(column, justify="left" if column in ("work", "unit") else "right", no_wrap=True)
    for row in sorted(rows, key=lambda row: (row.work, row.threads, row.n)):
        numbers = f"{row.seconds:.2f}", f"{row.cpu:.2f}", brief(row.microseconds), row.unit
        made.add_row(row.work, brief(row.n), str(row.threads), *numbers, f"{row.megabytes:,.0f}", brief(row.bytes))
    return made


def brief(n: float) -> str:
    """Return a number in three digits.

    >>> [brief(n) for n in (0.141, 8.57, 1000, 1_015_000)]
    ['0.141', '8.57', '1,000', '1.01M']
    """
    return f"{n / 1e6:.3g}M" if n >= 100_000 else f"{n:,.0f}" if n >= 100 else f"{n:.3g}"


def available_threads() -> list[int]:
    return [n for n in THREADS if n <= (os.cpu_count() or 1)]


def report(console: Console, millions: Sequence[float], threads: Sequence[int], many: Sequence[int]) -> None:
    """Measure, and write table, figure and machine."""
    started, rows = time.time(), []
    for row in measurements(millions, threads, many):
        rows.append(row)
        console.print(f"  {row.work}, {brief(row.n)}, {row.threads} threads: {row.seconds:.2f} s", style="dim")
    write_table("growth", [row._asdict() for row in rows])
    write_machine("growth", time.time() - started)
    draw(rows).savefig(FOLDER / "growth.png", dpi=200)
    console.print(table(rows))
    console.print(f"growth.csv, growth.json and growth.png are in {FOLDER}", style="dim")


def main(arguments: Sequence[str] | None = None) -> None:
    if sys.argv[1:2] == ["--parts"]:
        measure_parts(Path(sys.argv[2]), sys.argv[3])
        return
    parser = create_parser(__doc__)
    for name, kind, default, what in (
        ("--millions", float, MILLIONS, "sizes, in million ratings"),
        ("--threads", int, available_threads(), "numbers of threads of a run"),
        ("--many", int, MANY, "numbers of runs to compare and of jobs to check"),
    ):
        values = " ".join(map(str, default))
        parser.add_argument(name, type=kind, nargs="+", default=default, metavar="N", help=f"{what}; default: {values}")
    report(Console(highlight=False), **vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
