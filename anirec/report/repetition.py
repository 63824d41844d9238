"""Comparison of a run with its repetition: which metrics are equal and, if some are not, what differs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.config.identity import DEVICES, flatten
from anirec.metrics.names import MetricName
from anirec.report import formatting as cells
from anirec.report.formatting import SOURCE, brief, differing_keys
from anirec.report.runs import Run, nested

TOLERANCE = 1e-6  # relative
SHOWN = 12
UNRECORDED = (
    "No recorded difference. A GPU or several threads may sum in a different order; "
    "trainer.deterministic=true or OMP_NUM_THREADS=1 prevents most of this."
)


@dataclass(frozen=True)
class MetricComparison:
    """Metrics of a run compared with those of its repetition.

    Attributes:
        equal: Number of exactly equal metrics.
        near: Number of further metrics that agree to a relative 1e-6.
        different: All other metrics, then and now; None where one is missing.
    """

    equal: int
    near: int
    different: dict[str, tuple[float | None, float | None]]

    @property
    def is_equal(self) -> bool:
        return not self.near and not self.different


def compare_metrics(then: Mapping[str, float], now: Mapping[str, float]) -> MetricComparison:
    """Compare the metrics of a run with those of its repetition.

    >>> compare_metrics({"test/rmse": 1.5, "test/mae": 1.0, "test/r2": 0.3}, {"test/rmse": 1.5, "test/mae": 1.0000001})
    MetricComparison(equal=1, near=1, different={'test/r2': (0.3, None)})
    """
    pairs = {name: (then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])}
    unequal = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    different = {name: (a, b) for name, (a, b) in unequal.items() if a is None or b is None or not near(a, b)}
    return MetricComparison(len(pairs) - len(unequal), len(unequal) - len(different), different)


def near(first: float, second: float) -> bool:
    return isclose(first, second, rel_tol=TOLERANCE)


def changes(then: Run, now: Run) -> Iterator[str]:
    """Yield the recorded differences between two runs, data first."""
    data = [[nested(run.provenance, key) for run in (then, now)] for key in ("data.fingerprint", "split.fingerprint")]
    if data[0][0] != data[0][1]:
        yield f"different data: fingerprint {then_and_now(*data[0])}; {row_count(then)} then, {row_count(now)} now"
    elif data[1][0] != data[1][1]:
        yield f"same data, different split: fingerprint {then_and_now(*data[1])}"
    code = [run.provenance.get("git") or {} for run in (then, now)]
    if code[0].get("commit") != code[1].get("commit"):
        yield f"code: commit {then_and_now(*((one.get('commit') or 'unknown')[:10] for one in code))}"
    if when := [word for word, one in zip(("then", "now"), code, strict=True) if one.get("dirty")]:
        yield f"code: uncommitted changes {' and '.join(when)}"
    for kind in ("versions", "device"):
        both = [dict(flatten(run.provenance.get(kind) or {})) for run in (then, now)]
        for key in differing_keys(both):
            yield f"{kind}: {key} {then_and_now(*(one.get(key) for one in both))}"
    settings = [{**run.settings, **dict(run.replicate), **device_settings(run)} for run in (then, now)]
    for key in differing_keys(settings):
        if key != "dataset.source":  # its fingerprint is compared above
            yield f"config: {key} {then_and_now(*(full_value(one.get(key)) for one in settings))}"


def device_settings(run: Run) -> dict[str, Any]:
    """Return the trainer settings that determine the device; unset ones are left out."""
    found = {key: nested(run.config, key) for key in DEVICES}
    return {key: value for key, value in found.items() if value is not None}


def full_value(value: Any) -> str:
    """Return a value as in labels, but sources with their fingerprint."""
    return value if isinstance(value, str) and SOURCE.fullmatch(value) else brief(value)


def then_and_now(then: Any, now: Any) -> str:
    """Return both values in words.

    >>> then_and_now("2.1.0", None)
    '2.1.0 then, none now'
    """
    return f"{'none' if then is None else then} then, {'none' if now is None else now} now"


def row_count(run: Run) -> str:
    """Return the number of rows of a run's split."""
    split = run.provenance.get("split") or {}
    return f"{sum(split.get(f'n_{part}', 0) for part in ('train', 'val', 'test')):,} rows"


def show_repetition(console: Console, then: Run, now: Run) -> MetricComparison:
    """Print the comparison of both runs, and return it."""
    found = compare_metrics(then.metrics, now.metrics)
    different = sorted(found.different, key=lambda name: bool(MetricName.parse(name).segment))
    found_changes = list(changes(then, now))
    if found_changes and found_changes[0].startswith("different data"):
        console.print(Text(found_changes.pop(0), style="bold red"), soft_wrap=True)
    parts = [f"{found.equal} of {len(then.metrics)} metrics are equal"]
    parts += [f"{found.near} more agree to a relative 1e-6"] if found.near else []
    parts += [f"{len(different)} differ"] if different else []
    console.print(Text(", ".join(parts), style="bold"))
    if different:
        console.print(difference_table({name: found.different[name] for name in different[:SHOWN]}))
        if len(different) > SHOWN:
            console.print(f"and {len(different) - SHOWN} more", style="dim")
    if not found.is_equal:
        console.print("Differences:" if found_changes else UNRECORDED, style="yellow", soft_wrap=True)
        for line in found_changes:
            console.print(Text(f"  {line}"), soft_wrap=True)
    times = [cells.duration(run.provenance.get("wall_seconds")) for run in (then, now)]
    console.print(f"time: {then_and_now(*times)}", highlight=False)
    return found


def difference_table(different: Mapping[str, tuple[float | None, float | None]]) -> Table:
    """Return a table of metrics that differ."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold")
    for heading in ("then", "now", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, (then, now) in different.items():
        difference = cells.MISSING if then is None or now is None else f"{now - then:+.2g}"
        table.add_row(name, *(cells.MISSING if value is None else f"{value:.7g}" for value in (then, now)), difference)
    return table
