"""Metric names: `split/metric`, `@k` for a list of k, and the segment last: `test/ndcg@10/cold_users`."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import get_args

from anirec.errors import UserError
from anirec.metrics import beyond_accuracy, rank_correlation, ranking, rating  # noqa: F401  (importing them declares their metrics)
from anirec.metrics.definition import BESIDE, CONSTANTS, COUNTS, DECLARED, REACHABLE, Better, Kind, Metric

LOSSES = ("loss", "error")  # names of other measures that a model may log
PATTERN = re.compile(
    r"(?:(?P<split>[a-z]+)/)?(?P<metric>[a-z0-9_]+)(?:@(?P<k>[1-9][0-9]*))?(?:/(?P<segment>[a-z0-9_.]+))?"
)


@dataclass(frozen=True)
class MetricName:
    """A metric's name, taken apart.

    >>> MetricName.parse("test/ndcg@10/cold_users")
    MetricName(split='test', metric='ndcg', k=10, segment='cold_users')
    >>> MetricName.parse("rmse")
    MetricName(split='', metric='rmse', k=None, segment='')
    """

    split: str
    metric: str
    k: int | None
    segment: str

    @classmethod
    def parse(cls, name: str) -> "MetricName":
        """Take any name apart; one of another form is a metric of its own."""
        found = PATTERN.fullmatch(name)
        if found is None:
            return cls("", name, None, "")
        k = found["k"]
        return cls(found["split"] or "", found["metric"], int(k) if k else None, found["segment"] or "")

    @property
    def short(self) -> str:
        """Without split and segment: `ndcg@10`."""
        return self.metric if self.k is None else f"{self.metric}@{self.k}"

    @property
    def declared(self) -> Metric | None:
        """The metric itself; None for one that only a model knows, such as its own loss."""
        return DECLARED.get(self.metric)

    @property
    def is_metric(self) -> bool:
        """Whether it measures a model; False for counts, errors of constants and the best reachable value."""
        of_constant = self.segment.startswith(CONSTANTS) or f"_{CONSTANTS}" in self.segment
        return not (self.split in REACHABLE or self.metric.startswith(COUNTS) or of_constant)

    @property
    def better(self) -> Better | None:
        """Which direction is better; None where neither is, or none is declared."""
        if not self.is_metric:
            return None
        if self.declared:
            return "lower" if self.declared.lower_is_better else "higher"
        return BESIDE.get(self.metric, "lower" if self.metric.endswith(LOSSES) else None)


def is_metric(name: str) -> bool:
    """Whether a logged name measures a model.

    >>> [name for name in ("val/rmse", "test/bias", "val/unknown_users", "floor/rmse", "test/mae/by_median")
    ...  if is_metric(name)]
    ['val/rmse', 'test/bias']
    """
    return MetricName.parse(name).is_metric


def objectives(objective: str | Iterable[str] | None) -> list[str]:
    """Return the metrics that a config's `objective` names, the one that chooses checkpoints first.

    >>> objectives("val/rmse"), objectives(["val/rmse", "val/coverage@10"]), objectives(None)
    (['val/rmse'], ['val/rmse', 'val/coverage@10'], [])
    """
    return [objective] if isinstance(objective, str) else list(objective or [])


def lower_is_better(name: str) -> bool:
    """Whether less of a logged name is better; see `has_direction`.

    >>> [name for name in ("test/rmse", "val/ndcg@10", "test/gini@10/cold_users", "val/loss") if lower_is_better(name)]
    ['test/rmse', 'test/gini@10/cold_users', 'val/loss']
    """
    return MetricName.parse(name).better == "lower"


def has_direction(name: str) -> bool:
    """Whether more, or less, of a logged name is better, so that it can choose among models.

    >>> [has_direction(name) for name in ("test/rmse", "test/interval_coverage", "test/bias/score_6_7", "val/n_users")]
    [True, False, False, False]
    """
    return MetricName.parse(name).better is not None


def minimized(objective: str) -> bool:
    """Whether a run that is chosen by `objective` wants it low.

    Raises:
        UserError: Nothing can be chosen by that name.

    >>> minimized("val/rmse"), minimized("val/ndcg@10")
    (True, False)
    """
    if not has_direction(objective):
        usable = ", ".join(f"val/{name}" + "@10" * metric.needs_k for name, metric in sorted(DECLARED.items()))
        raise UserError(f"objective={objective}: no metric with a better direction; use one of {usable}")
    return lower_is_better(objective)


def checked(names: Iterable[str], kinds: Collection[Kind] = get_args(Kind)) -> list[MetricName]:
    """The names of metrics of those kinds to compute, taken apart.

    Raises:
        UserError: Naming every unknown metric with the nearest right one, every missing or needless `@k`, and every
            metric of another kind.

    >>> checked(["rsme", "ndcg"])
    Traceback (most recent call last):
    anirec.errors.UserError: Wrong metric names:
      rsme: no such metric; did you mean rmse?
      ndcg: needs the length of the list, such as ndcg@10
    """
    names = list(names)
    problems = [f"  {name}: {problem}" for name in names if (problem := problem_with(name) or misplaced(name, kinds))]
    if problems:
        raise UserError("\n".join(["Wrong metric names:", *problems]))
    return [MetricName.parse(name) for name in names]


def problem_with(name: str) -> str:
    """What is wrong with the name of a metric to compute; empty if nothing is."""
    parsed = MetricName.parse(name)
    if parsed.split or parsed.segment:
        return f"give the metric alone, {parsed.short}; splits and segments are added to it"
    if parsed.declared is None:
        near = difflib.get_close_matches(parsed.metric, DECLARED, n=1)
        return "no such metric; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(DECLARED))}")
    if parsed.declared.needs_k and parsed.k is None:
        return f"needs the length of the list, such as {name}@10"
    if not parsed.declared.needs_k and parsed.k is not None:
        return f"takes no @k; write {parsed.metric}"
    return ""


def misplaced(name: str, kinds: Collection[str]) -> str:
    """That a metric is not of these kinds, and which are; empty if it is."""
    fitting = sorted(metric.name for metric in DECLARED.values() if metric.kind in kinds)
    metric = MetricName.parse(name).metric
    return "" if metric in fitting else f"cannot be measured here; there are {', '.join(fitting)}"
