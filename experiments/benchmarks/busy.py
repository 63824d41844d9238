"""Time of a fit beside a busy process, with idle threads that sleep (as anirec sets it) and with threads that spin.

python -m experiments.benchmarks.busy [--models als svd]
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.options import create_parser

MODELS = {
    "als": "epochs=3",
    "ease": "",
    "item_knn": "",
    "svd": "epochs=5",
    "svdpp": "epochs=3",
    "ncf": "training.epochs=1",
}
MEASURE = """
import sys, time
from experiments.benchmarks.ratings import create_model, rating_data
from experiments.benchmarks.training import train
from anirec.threads import set_threads

set_threads(None)
_, data = rating_data()
for _ in range(2):  # the first compiles
    model = create_model(sys.argv[1], *sys.argv[2:])
    start = time.perf_counter()
    train(model, data)
print(time.perf_counter() - start)
"""


def seconds(model: str, overrides: str, policy: str, timeout: float) -> float:
    """Return the time of a fit in a new process, whose threads wait by a policy of OpenMP.

    Raises:
        SystemExit: The process failed, with what it printed; or it took longer than `timeout` seconds.
    """
    command = [sys.executable, "-c", MEASURE, model, *overrides.split()]
    environment = os.environ | {"OMP_WAIT_POLICY": policy}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{model}: not finished after {timeout:g} s; see --timeout") from None
    if done.returncode:
        raise SystemExit(f"{model}: the process failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy during the block."""
    process = multiprocessing.get_context("spawn").Process(target=count_for_ever, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def count_for_ever() -> None:
    while True:
        pass


def main(arguments: Sequence[str] | None = None) -> None:
    parser = create_parser(__doc__)
    names = ", ".join(MODELS)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        default=list(MODELS),
        metavar="MODEL",
        help=f"models to fit; default: {names}",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="of each of three processes per model; default: 600",
    )
    given = parser.parse_args(arguments)
    table = Table("fit", "alone", "beside a busy process", "the same, threads spin", title="seconds")
    for model in given.models:
        overrides, cells = MODELS[model], []
        for neighbour, policy in ((nullcontext, "PASSIVE"), (busy_process, "PASSIVE"), (busy_process, "ACTIVE")):
            with neighbour():
                cells.append(f"{seconds(model, overrides, policy, given.timeout):.2f}")
        table.add_row(f"{model} {overrides}", *cells)
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
