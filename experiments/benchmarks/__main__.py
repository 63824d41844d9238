"""`make bench`: speed compared with Surprise, and growth of time and memory; also written to outputs/benchmarks."""

import logging
import time
import warnings
from collections.abc import Iterable
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table

from experiments.benchmarks import beside_surprise, growth
from experiments.benchmarks.options import create_parser
from experiments.benchmarks.output import FOLDER, processor_name, write_machine, write_table


def main() -> None:
    create_parser(__doc__).parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    console, started = Console(), time.time()
    console.print(
        "Compilation time is excluded by a warm-up. anirec and Surprise run alternately in one process.", style="dim"
    )
    console.print(f"{processor_name()}, {psutil.cpu_count()} cores, {torch.get_num_threads()} threads", style="dim")
    compared = list(print_progress(console, beside_surprise.measurements()))
    write_table("beside_surprise", [{**row._asdict(), "ratio": row.ratio} for row in compared])
    console.print(comparison_table(compared))
    write_machine("machine", time.time() - started)
    console.print(f"Tables written to {FOLDER}", style="dim")
    growth.report(console, growth.MILLIONS, growth.available_threads(), growth.MANY)


def print_progress(console: Console, rows: Iterable[Any]) -> Iterable[Any]:
    """Yield measurements, and print each as it is finished, since some of Surprise's take a minute."""
    for row in rows:
        console.print(f"  {row[0]}, {row[1]:,}: {row[2]:.3f} s", style="dim")
        yield row


def comparison_table(rows: list[beside_surprise.Comparison]) -> Table:
    table = Table("work", "rows", "anirec", "Surprise", "ratio", title="anirec and Surprise; ratio per row")
    for row in rows:
        theirs = (
            ""
            if row.theirs is None
            else f"{row.theirs:.2f} s" + (f" for {row.n_theirs:,}" if row.n_theirs != row.n else "")
        )
        table.add_row(row.what, f"{row.n:,}", f"{row.ours:.3f} s", theirs, f"{row.ratio:,.0f} x" if row.ratio else "")
    return table


if __name__ == "__main__":
    main()
