"""Paired tests between all groups of a family, on the users (titles, rows) that both were evaluated on.

Runs are paired by split: runs on one split have the same test rows, whatever their seed. A group's runs are averaged
within each split, and a pair's difference over the splits that both have. Users are resampled, so the tests generalise
to other users, but not to other seeds or training rows. The tests themselves are in `metrics/resampling.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anirec.metrics.names import MetricName, has_direction, lower_is_better
from anirec.metrics.resampling import FEWEST_UNITS, LEVEL, holm, p_value, percentile_interval, rank_biserial
from anirec.report.evaluated_size import size_of
from anirec.report.groups import Family, Group
from anirec.report.intervals import TABLES, Interval
from anirec.report.paired.runs import PairedRuns, paired_runs, split_of

BEST = 12
ROUNDING = 1e-12
TEST = "paired bootstrap"
EFFECT = "rank-biserial correlation"


@dataclass(frozen=True)
class Pair:
    """Two groups, evaluated on the same units.

    Attributes:
        first: The group with the better metric, on average over the splits that both have.
        second: The other group.
        metric: Name as logged.
        difference: Metric of first - second.
        interval: 95% percentile interval of the difference.
        p: Two-sided p-value.
        p_holm: p-value corrected for all tested pairs of the family.
        effect: From -1 to 1; above 0 if more units have a better value with `first`, or by a larger margin.
        effect_name: Name of the effect size.
        unit: Name of the resampled units: "users", "clusters", "titles" or "rows".
        n_units: Number of units that both have.
        n_better: Number of units with a better value for `first`.
        n_worse: Number of units with a worse value; units with equal values are in neither.
        test: Name of the test.
    """

    first: Group
    second: Group
    metric: str
    difference: float
    interval: Interval
    p: float
    p_holm: float
    effect: float
    effect_name: str
    unit: str
    n_units: int
    n_better: int
    n_worse: int
    test: str

    @property
    def differs(self) -> bool:
        """Whether the difference is significant after correction."""
        return self.p_holm < LEVEL


def pairwise(family: Family, metric: str, *, limit: int = BEST) -> list[Pair]:
    """Test all pairs of the `limit` best groups that share a split, best first.

    If there are no pairs, `why_no_pairs` gives the reason.

    Raises:
        UserError: If a table is damaged.
    """
    return pairs_or_reason(family, metric, limit)[0]


def why_no_pairs(family: Family, metric: str) -> str | None:
    """Return why `pairwise` finds no pairs; None if it finds some. It repeats the tests, so call it only then."""
    pairs, why = pairs_or_reason(family, metric, BEST)
    return None if pairs else why


def pairs_or_reason(family: Family, metric: str, limit: int) -> tuple[list[Pair], str]:
    """Return all pairs and, if there are none, the reason."""
    groups = best_groups(family, metric)[:limit]
    if why := why_untestable(metric) or why_too_few(groups, metric):
        return [], why
    runs, parsed = paired_runs(groups, metric), MetricName.parse(metric)
    if runs is None or all(group is runs.groups[0] for group in runs.groups):
        table = TABLES[parsed.declared.kind] if parsed.declared else ""
        return [], f"fewer than two configurations saved {table}.parquet with the same {parsed.split} rows"
    sharing = [(one, other) for one, other in combinations(groups, 2) if runs.shared_splits(one, other)]
    if not sharing:
        return [], "no two configurations were evaluated on the same split"
    pairs = [pair for one, other in sharing if (pair := pair_of(runs, metric, one, other))]
    if pairs and not (enough := [pair for pair in pairs if pair.n_units >= FEWEST_UNITS]):
        return [], f"fewer than {FEWEST_UNITS} {runs.unit}, too few for a significant result"
    pairs = enough if pairs else []
    corrected = holm(np.array([pair.p for pair in pairs]))
    why = f"{parsed.short} is undefined in some resamples, or has too many rows to resample"
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)], why


def why_too_few(groups: Sequence[Group], metric: str) -> str:
    """Return why there are too few configurations, users or rows for tests; empty if there are enough."""
    if len(groups) < 2:
        return f"fewer than two configurations have {metric}"
    size = size_of(groups, metric)
    return f"only {size.text}, too few for tests" if size.is_small else ""


def why_unpaired(family: Family, one: Group, other: Group, metric: str) -> str:
    """Return why two groups with a testable metric were not tested against each other, in a few words."""
    if any(id(group) not in set(map(id, best_groups(family, metric)[:BEST])) for group in (one, other)):
        return f"not among the best {BEST}"
    of_one, of_other = ({split_of(run): run for run in group.having(metric)} for group in (one, other))
    if not of_one.keys() & of_other.keys():
        has_windows = all(run.split.get("window") for run in (*of_one.values(), *of_other.values()))
        return f"no common {'window' if has_windows else 'split'}"
    parsed = MetricName.parse(metric)
    table = TABLES[parsed.declared.kind] if parsed.declared else ""
    for group in (one, other):
        if all(run.table(table, parsed.split) is None for run in group.members):
            return f"no {table}.parquet of {group.label}"
    runs = paired_runs([one, other], metric)
    if runs is None or not runs.shared_splits(one, other):
        return f"other {'users' if table == 'recommendations' else 'rows'} evaluated"
    pair = pair_of(runs, metric, one, other)
    if pair is None:
        return f"{parsed.short} undefined in some resamples"
    return f"fewer than {FEWEST_UNITS} {runs.unit}" if pair.n_units < FEWEST_UNITS else "other rows than most evaluated"


def pair_of(runs: PairedRuns, metric: str, one: Group, other: Group) -> Pair | None:
    """Test two groups on the splits that they share; None if the metric is undefined in a resample."""
    shared = runs.shared_splits(one, other)
    (value, value_b, loss_u), (other_value, other_b, other_loss_u) = (runs.means(it, shared) for it in (one, other))
    difference, resampled_b = float(difference_of(value, other_value)), difference_of(value_b, other_b)
    if not (np.isfinite(difference) and np.isfinite(resampled_b).all()):
        return None
    if (difference > 0) if lower_is_better(metric) else (difference < 0):
        return pair_of(runs, metric, other, one)
    gain_u = difference_of(other_loss_u, loss_u)[np.isfinite(loss_u)]
    p = p_value(difference, resampled_b)
    return Pair(
        first=one,
        second=other,
        metric=metric,
        difference=difference,
        interval=percentile_interval(resampled_b),
        p=p,
        p_holm=p,
        effect=rank_biserial(gain_u),
        effect_name=EFFECT,
        unit=runs.unit,
        n_units=len(gain_u),
        n_better=int((gain_u > 0).sum()),
        n_worse=int((gain_u < 0).sum()),
        test=TEST,
    )


def difference_of(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Subtract two means; 0 where they differ by rounding only, as means of equal values over two and three runs do.

    >>> difference_of([0.1 + 0.2, 0.5, np.nan], [0.3, 0.4, 1.0]).round(3)
    array([0. , 0.1, nan])
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return np.where(np.isclose(one, other, rtol=ROUNDING, atol=ROUNDING), 0.0, one - other)


def why_untestable(metric: str) -> str:
    """Return why a metric cannot be tested in any run; empty if it can."""
    parsed = MetricName.parse(metric)
    if parsed.segment:
        return f"the saved tables do not mark the rows of {metric}"
    if parsed.declared is None or parsed.declared.kind not in TABLES:
        return f"{metric} cannot be computed for single users, titles or rows"
    return "" if has_direction(metric) else f"{metric} has no better direction"


def best_groups(family: Family, metric: str) -> list[Group]:
    """Return the groups that have the metric, best mean first, as in the leaderboard."""
    having = [group for group in family.groups if group.having(metric)]
    sign = 1 if lower_is_better(metric) else -1
    means = {
        id(group): sign * float(np.mean([run.metrics[metric] for run in group.having(metric)])) for group in having
    }
    return sorted(having, key=lambda group: (means[id(group)], group.label))
