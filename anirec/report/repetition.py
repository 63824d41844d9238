"""A run and its repetition: which metrics are equal, and if not, what differs."""

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
from anirec.report.formatting import SOURCE, brief, differing
from anirec.report.runs import Run, nested

TOLERANCE = 1e-6  # relative
SHOWN = 12
UNRECORDED = (
    "Nothing that is recorded differs. A GPU, several threads or parallel=true may add up in another order: "
    "trainer.deterministic=true, or OMP_NUM_THREADS=1, prevents what can be prevented."
)


@dataclass(frozen=True)
class Compared:
    """Metrics of a run and of its repetition.

    Attributes:
        equal: How many are equal to the last digit.
        near: How many more are to 1e-6 of their size.
        different: All others, then and now; None where there is none.
    """

    equal: int
    near: int
    different: dict[str, tuple[float | None, float | None]]

    @property
    def is_equal(self) -> bool:
        return not self.near and not self.different


def compared(then: Mapping[str, float], now: Mapping[str, float]) -> Compared:
    """
    >>> compared({"test/rmse": 1.5, "test/mae": 1.0, "test/r2": 0.3}, {"test/rmse": 1.5, "test/mae": 1.0000001})
    Compared(equal=1, near=1, different={'test/r2': (0.3, None)})
    """
    pairs = {name: (then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])}
    unequal = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    different = {name: (a, b) for name, (a, b) in unequal.items() if a is None or b is None or not near(a, b)}
    return Compared(len(pairs) - len(unequal), len(unequal) - len(different), different)


def near(first: float, second: float) -> bool:
    return isclose(first, second, rel_tol=TOLERANCE)


def changes(then: Run, now: Run) -> Iterator[str]:
    """What differs between the circumstances of two runs, data first."""
    data = [[nested(run.provenance, key) for run in (then, now)] for key in ("data.fingerprint", "split.fingerprint")]
    if data[0][0] != data[0][1]:
        yield f"other data: fingerprint {told(*data[0])}; {counts(then)} then, {counts(now)} now"
    elif data[1][0] != data[1][1]:
        yield f"the same data, split otherwise: fingerprint {told(*data[1])}"
    code = [run.provenance.get("git") or {} for run in (then, now)]
    if code[0].get("commit") != code[1].get("commit"):
        yield f"code: commit {told(*((one.get('commit') or 'unknown')[:10] for one in code))}"
    if when := [word for word, one in zip(("then", "now"), code, strict=True) if one.get("dirty")]:
        yield f"code: uncommitted changes {' and '.join(when)}"
    for kind in ("versions", "device"):
        both = [dict(flatten(run.provenance.get(kind) or {})) for run in (then, now)]
        for key in differing(both):
            yield f"{kind}: {key} {told(*(one.get(key) for one in both))}"
    settings = [{**run.settings, **dict(run.replicate), **devices(run)} for run in (then, now)]
    for key in differing(settings):
        if key != "dataset.source":  # whose fingerprint is compared above
            yield f"config: {key} {told(*(in_full(one.get(key)) for one in settings))}"


def devices(run: Run) -> dict[str, Any]:
    """What of the trainer's settings says where a run was trained; unset ones are left out."""
    found = {key: nested(run.config, key) for key in DEVICES}
    return {key: value for key, value in found.items() if value is not None}


def in_full(value: Any) -> str:
    """As in labels, but sources with their fingerprint."""
    return value if isinstance(value, str) and SOURCE.fullmatch(value) else brief(value)


def told(then: Any, now: Any) -> str:
    """
    >>> told("2.1.0", None)
    '2.1.0 then, none now'
    """
    return f"{'none' if then is None else then} then, {'none' if now is None else now} now"


def counts(run: Run) -> str:
    split = run.provenance.get("split") or {}
    return f"{sum(split.get(f'n_{part}', 0) for part in ('train', 'val', 'test')):,} rows"


def show_repetition(console: Console, then: Run, now: Run) -> Compared:
    """Print both, and return how their metrics compare."""
    found = compared(then.metrics, now.metrics)
    different = sorted(found.different, key=lambda name: bool(MetricName.parse(name).segment))
    found_changes = list(changes(then, now))
    if found_changes and found_changes[0].startswith("other data"):
        console.print(Text(found_changes.pop(0), style="bold red"), soft_wrap=True)
    parts = [f"{found.equal} of {len(then.metrics)} metrics are equal"]
    parts += [f"{found.near} more to 1e-6 of their size"] if found.near else []
    parts += [f"{len(different)} differ"] if different else []
    console.print(Text(", ".join(parts), style="bold"))
    if different:
        console.print(table_of({name: found.different[name] for name in different[:SHOWN]}))
        if len(different) > SHOWN:
            console.print(f"and {len(different) - SHOWN} more", style="dim")
    if not found.is_equal:
        console.print("What differs:" if found_changes else UNRECORDED, style="yellow", soft_wrap=True)
        for line in found_changes:
            console.print(Text(f"  {line}"), soft_wrap=True)
    times = [cells.duration(run.provenance.get("wall_seconds")) for run in (then, now)]
    console.print(f"time: {told(*times)}", highlight=False)
    return found


def table_of(different: Mapping[str, tuple[float | None, float | None]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold")
    for heading in ("then", "now", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, (then, now) in different.items():
        difference = cells.MISSING if then is None or now is None else f"{now - then:+.2g}"
        table.add_row(name, *(cells.MISSING if value is None else f"{value:.7g}" for value in (then, now)), difference)
    return table
