"""Paired tests as a table on the terminal, and their verdict in sentences."""

from collections import defaultdict
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from anirec.metrics.definition import OrderMetric
from anirec.metrics.names import MetricName, lower_is_better
from anirec.report import formatting as cells
from anirec.report.groups import Family, Group, share_no_split
from anirec.report.intervals import TABLES
from anirec.report.paired.tests import BEST, Pair, best_groups, pairwise, why_no_pairs, why_unpaired, why_untestable

MOST_NAMES = 3
CHEAP_BYTES = 16_000_000  # size of the Parquet files that are read and resampled in about a second
LONGEST = 14  # characters of a name in the table of pairs
FEW_UNITS = 30  # with fewer, bootstrap intervals are too narrow
HOW = "paired bootstrap, Holm's correction, 5% level"


def print_pairs(console: Console, family: Family, metric: str) -> None:
    """Print all pairs of a family, best first, and the verdict; nothing for a single group."""
    if len(family.groups) < 2:
        return
    pairs = pairwise(family, metric)
    console.print()
    if not pairs:
        console.print(Text(f"{family.title}: no paired tests: {why_no_pairs(family, metric)}.", style="yellow"))
        return
    console.print(pairs_table(f"{family.title}: pairs by {metric}", pairs))
    tested = {id(group): group for pair in pairs for group in (pair.first, pair.second)}
    print_legend(console, [group for group in tested.values() if pair_name(group) != group.label])
    n_apart = sum(pair.differs for pair in pairs)
    console.print(Text(f"\n{n_apart} of {len(pairs)} pairs differ significantly. {verdict(family, pairs)}"))
    console.print(Text(how_to_read(pairs), style="dim"))
    for caution in cautions(family, pairs):
        console.print(Text(caution, style="yellow"))


def pairs_table(title: str, pairs: Sequence[Pair]) -> Table:
    """Return a table with one row per pair; pairs without a significant difference are dim."""
    places = cells.decimals(pair.difference for pair in pairs)
    table = Table(title=Text(title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    table.padding = (0, 1, 0, 0)
    table.add_column("pair", overflow="fold")
    for heading in ("diff", "95% interval", "p", "effect", "ahead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in pairs:
        table.add_row(
            Text(f"{pair_name(pair.first)} {sign(pair)} {pair_name(pair.second)}"),
            f"{pair.difference:+.{places}f}",
            cells.interval(pair.interval, places),
            cells.probability(pair.p_holm),
            f"{pair.effect:+.2f}",
            ahead(pair),
            style="" if pair.differs else "dim",
        )
    return table


def pair_name(group: Group) -> str:
    """Return a name so short that two fit into one column."""
    return group.label if len(group.label) <= LONGEST else group.number


def print_legend(console: Console, groups: Sequence[Group]) -> None:
    """Print the settings of groups whose number stands in a table."""
    lines = [f"{group.number}: {' '.join(group.differences)}" for group in groups]
    if lines:
        console.print()
    for line in lines:
        console.print(Padding(Text(line, style="dim"), (0, 0, 0, 2), expand=False))


def sign(pair: Pair) -> str:
    """Return which of the two has the lower metric, ≈ if the difference is not significant."""
    if not pair.differs:
        return "≈"
    return "<" if lower_is_better(pair.metric) else ">"


def ahead(pair: Pair) -> str:
    """Return the share of units with a better value for the first group, among units where the two differ."""
    n = pair.n_better + pair.n_worse
    return f"{pair.n_better / n:.0%}" if n else cells.MISSING


def verdict(family: Family, pairs: Sequence[Pair]) -> str:
    """Return what the tests say about the best group, in one or two sentences.

    Empty without pairs, or if the means of the groups are over different splits, so that none is the best.
    """
    if not pairs or share_no_split(group for group in family.groups if group.having(pairs[0].metric)):
        return ""
    best = best_groups(family, pairs[0].metric)[0]
    tested = [(pair, group) for pair in pairs if (group := other(pair, best))]
    sentences = []
    # The best mean may come from easier splits.
    if stronger := [group.label for pair, group in tested if pair.differs and pair.first is group]:
        worse = f"On shared splits, {best.label} is significantly worse than {cells.join_names(stronger)}"
        sentences.append(f"{worse}: the means in the table are over different splits.")
    if rivals := [group.label for pair, group in tested if not pair.differs]:
        sentences.append(f"Not significantly different from {best.label}: {cells.join_names(rivals)}.")
    if tested and not sentences:
        names = [group.label for _, group in tested]
        against = cells.join_names(names) if len(names) <= MOST_NAMES else f"each of the {len(names)} others tested"
        sentences.append(f"{best.label} is significantly better than {against}.")
    with_metric = [group for group in family.groups if group.having(pairs[0].metric)]
    untested = [group for group in with_metric if group is not best and not is_in(group, tested)]
    by_reason: dict[str, list[str]] = defaultdict(list)
    for group in untested:
        by_reason[why_unpaired(family, best, group, pairs[0].metric)].append(group.label)
    if by_reason:
        reasons = [f"{cells.join_names(names, MOST_NAMES)} ({why})" for why, names in by_reason.items()]
        sentences.append(f"Not tested against {'; '.join(reasons)}.")
    return " ".join(sentences)


def is_in(group: Group, tested: Sequence[tuple[Pair, Group]]) -> bool:
    return any(other is group for _, other in tested)


def quick_verdict(family: Family, metric: str) -> str:
    """Return `verdict` if it takes less than about a second; else an empty string."""
    declared = MetricName.parse(metric).declared
    if why_untestable(metric) or declared is None or isinstance(declared.function, OrderMetric):
        return ""
    runs = [run for group in best_groups(family, metric)[:BEST] for run in group.members]
    paths = [run.folder / f"{TABLES[declared.kind]}.parquet" for run in runs]
    if sum(path.stat().st_size for path in paths if path.is_file()) > CHEAP_BYTES:
        return ""
    return verdict(family, pairwise(family, metric))


def other(pair: Pair, group: Group) -> Group | None:
    """Return the other group of a pair; None if the group is not in the pair."""
    return {id(pair.first): pair.second, id(pair.second): pair.first}.get(id(group))


def cautions(family: Family, pairs: Sequence[Pair]) -> list[str]:
    """Return which groups are in no pair, and a warning if there are few units."""
    sentences = []
    if left_out := [group.label for group in family.groups if not any(other(pair, group) for pair in pairs)]:
        why = f"metric or rows missing, undefined in some resamples, or not among the best {BEST}"
        sentences.append(f"Not tested ({why}): {cells.join_names(left_out)}.")
    if min(pair.n_units for pair in pairs) < FEW_UNITS:
        sentences.append(
            f"Fewer than {FEW_UNITS} {pairs[0].unit}: p-values tend to be too small and intervals too narrow."
        )
    return sentences


def sample_size(pairs: Sequence[Pair]) -> str:
    """Return the number of resampled units: `300 users`, or `120 to 300 users`."""
    sizes = sorted({pair.n_units for pair in pairs})
    return " to ".join(f"{size:,}" for size in dict.fromkeys([sizes[0], sizes[-1]])) + f" {pairs[0].unit}"


def how_to_read(pairs: Sequence[Pair]) -> str:
    """Explain the columns of the table."""
    unit = pairs[0].unit
    return (
        f"p: two-sided p-value of a {pairs[0].test} over {sample_size(pairs)}, with Holm's correction for {len(pairs)} "
        f"pairs; the intervals are not corrected. ≈: p is 5% or more. effect: {pairs[0].effect_name} of the gain per "
        f"{unit.removesuffix('s')}, from -1 to 1. ahead: share of {unit} with a better value for the first, among "
        f"those where the two differ. Only {unit} are resampled: the tests do not cover the variation between seeds or "
        "splits."
    )
