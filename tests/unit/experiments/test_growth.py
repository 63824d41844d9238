"""The benchmark of growth: costs of parts inside other parts, table and figure."""

import time
from io import StringIO

from rich.console import Console

from experiments.benchmarks.growth import Growth, Meter, draw, table

WORK = {"prepare": "rating", "load": "rating", "fit item_knn": "rating", "predict svd": "row", "recommend svd": "list"}
ROWS = [
    Growth(work, n, threads, unit, n if unit == "rating" else 100, n / 1e6, n / 5e5, n / 1e4)
    for work, unit in WORK.items()
    for n in (1_000_000, 4_000_000)
    for threads in (1, 2)
]
ROWS.append(Growth("compare", 1000, 2, "run", 1000, 12.3, 11.9, 250.0))


def test_the_cost_of_a_part_is_without_that_of_the_parts_inside_it() -> None:
    meter = Meter()

    def load() -> str:
        time.sleep(0.2)
        return "loaded"

    def fit() -> str:
        return str(meter.measure("load", load))

    assert meter.measure("fit", fit) == "loaded"
    assert meter.measure("fit", lambda: "no part inside", n_units=7) == "no part inside"
    assert meter.parts["load"][1] >= 0.2
    assert 0 <= meter.parts["fit"][1] < meter.parts["load"][1]
    assert meter.parts["fit"][0] == 7


def test_the_table_has_a_row_for_each_measurement_and_fits_the_terminal() -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table(ROWS))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert sum(any(line.strip().startswith(work) for work in (*WORK, "compare")) for line in lines) == len(ROWS)


def test_the_figure_shows_time_and_memory_per_unit_on_logarithmic_axes() -> None:
    per_rating, memory, others = draw(ROWS).axes
    assert {axes.get_xscale() for axes in (per_rating, memory, others)} == {"log"}
    assert [text.get_text() for text in per_rating.get_legend().get_texts()] == ["prepare", "load", "fit item_knn"]
    assert [text.get_text() for text in others.get_legend().get_texts()] == ["predict svd", "recommend svd", "compare"]
    (line,) = [line for line in per_rating.get_lines() if line.get_label() == "prepare"]
    assert line.get_xydata().tolist() == [[1e6, 1.0], [4e6, 1.0]]
