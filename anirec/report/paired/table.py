"""Pairs as a table on the terminal, and what they say in sentences."""

from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anirec.metrics.definition import OrderMetric
from anirec.metrics.names import MetricName, lower_is_better
from anirec.report import numbers as cells
from anirec.report.groups import Family, Group
from anirec.report.intervals import TABLES
from anirec.report.paired.tests import BEST, Pair, best_groups, misplaced, pairwise, unpaired

CHEAP_BYTES = 16_000_000  # of Parquet: read and resampled in a second
FEW_UNITS = 30  # below, a bootstrap is too sure of itself
LEAST = 0.001
HOW = "paired bootstrap, Holm's correction, 5%"
Naming = Callable[[list[str]], str]


def print_pairs(console: Console, family: Family, metric: str) -> None:
    """All pairs of a family, best first, and what they mean; nothing of a single group."""
    if len(family.groups) < 2:
        return
    pairs = pairwise(family, metric)
    console.print()
    if not pairs:
        console.print(Text(f"{family.title}: no pairs, as {unpaired(family, metric)}.", style="yellow"))
        return
    console.print(pairs_table(f"{family.title}: pairs by {metric}", pairs))
    n_apart = sum(pair.differs for pair in pairs)
    console.print(Text(f"\n{n_apart} of {len(pairs)} pairs can be told apart. {verdict(family, pairs)}"))
    console.print(Text(how_to_read(pairs), style="dim"))
    for told in cautions(family, pairs):
        console.print(Text(told, style="yellow"))


def pairs_table(title: str, pairs: Sequence[Pair]) -> Table:
    """One row a pair, long names broken over lines; those that cannot be told apart are dim."""
    places = cells.decimals(pair.difference for pair in pairs)
    table = Table(title=Text(title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    table.padding = (0, 1, 0, 0)
    table.add_column("pair", overflow="fold")
    for heading in ("by", "95% interval", "p", "effect", "ahead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in pairs:
        table.add_row(
            Text(f"{pair.first.label} {sign(pair)} {pair.second.label}"),
            f"{pair.difference:+.{places}f}",
            cells.interval(pair.interval, places),
            probability(pair.p_holm),
            f"{pair.effect:+.2f}",
            ahead(pair),
            style="" if pair.differs else "dim",
        )
    return table


def sign(pair: Pair) -> str:
    """Which of the two has less of the metric, if they can be told apart."""
    if not pair.differs:
        return "≈"
    return "<" if lower_is_better(pair.metric) else ">"


def probability(p: float) -> str:
    """
    >>> probability(0.0004), probability(0.0312)
    ('<0.001', '0.031')
    """
    return f"<{LEAST}" if p < LEAST else f"{p:.3f}"


def ahead(pair: Pair) -> str:
    """Share that does better with the first, of the units for which the two differ."""
    n = pair.n_better + pair.n_worse
    return f"{pair.n_better / n:.0%}" if n else cells.MISSING


def verdict(family: Family, pairs: Sequence[Pair], named: Naming = ", ".join) -> str:
    """What the tests say of the best group, in a sentence or two; empty if that is in no pair."""
    if not pairs:
        return ""
    best = best_groups(family, pairs[0].metric)[0]
    beside = [(pair, group) for pair in pairs if (group := other(pair, best))]
    told = []
    # The best mean may be that of easier splits.
    if stronger := [group.label for pair, group in beside if pair.differs and pair.first is group]:
        worse = f"On the splits that they share, {best.label} is worse than {named(stronger)} ({HOW})"
        told.append(f"{worse}: the table's means do not weigh all splits alike.")
    if rivals := [group.label for pair, group in beside if not pair.differs]:
        told.append(f"Cannot be told apart from {best.label} ({HOW}): {named(rivals)}.")
    if told:
        return " ".join(told)
    against = "the other one" if len(beside) == 1 else f"each of the {len(beside)} others it was paired with"
    return f"The best, {best.label}, is better than {against} ({HOW})." if beside else ""


def quick_verdict(family: Family, metric: str) -> str:
    """`verdict`, if it takes less than about a second; else nothing."""
    declared = MetricName.parse(metric).declared
    if misplaced(metric) or declared is None or isinstance(declared.function, OrderMetric):
        return ""
    runs = [run for group in best_groups(family, metric)[:BEST] for run in group.members]
    paths = [run.folder / f"{TABLES[declared.kind]}.parquet" for run in runs]
    if sum(path.stat().st_size for path in paths if path.is_file()) > CHEAP_BYTES:
        return ""
    return verdict(family, pairwise(family, metric))


def other(pair: Pair, group: Group) -> Group | None:
    """The group beside that one in a pair; None if it is in neither place."""
    return {id(pair.first): pair.second, id(pair.second): pair.first}.get(id(group))


def cautions(family: Family, pairs: Sequence[Pair], named: Naming = ", ".join) -> list[str]:
    """Which groups are in no pair, and whether the tests had too little to go by."""
    told = []
    if left_out := [group.label for group in family.groups if not any(other(pair, group) for pair in pairs)]:
        why = f"without the metric or the same rows, undefined in some resamples, or not among the {BEST} best"
        told.append(f"Not paired ({why}): {named(left_out)}.")
    if min(pair.n_units for pair in pairs) < FEW_UNITS:
        told.append(f"Fewer than {FEW_UNITS} {pairs[0].unit}: these p-values and intervals are too small.")
    return told


def drawn(pairs: Sequence[Pair]) -> str:
    """What was drawn, and how many there are: `300 users`, or `120 to 300 users`."""
    sizes = sorted({pair.n_units for pair in pairs})
    return " to ".join(f"{size:,}" for size in dict.fromkeys([sizes[0], sizes[-1]])) + f" {pairs[0].unit}"


def how_to_read(pairs: Sequence[Pair]) -> str:
    """What the columns are."""
    unit = pairs[0].unit
    return (
        f"p: how likely equally good models differ so much on the same {drawn(pairs)}, by a {pairs[0].test}; with "
        f"Holm's correction for {len(pairs)} pairs, unlike the intervals; ≈: 5% or more. "
        f"effect: {pairs[0].effect_name} of what single {unit} gain, from -1 to 1. ahead: the share of {unit} that do "
        f"better with the first, where the two differ. Drawn anew are {unit}, not seeds or splits."
    )
