"""Metric names as logged, `split/metric@k/segment` (for example `test/ndcg@10/cold_users`), and their directions."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from anirec.errors import UserError
from anirec.metrics import beyond_accuracy, popularity_bias, rank_correlation, ranking, rating  # noqa: F401  (importing them declares their metrics)
from anirec.metrics.definition import CONSTANTS, COUNTS, DECLARED, REACHABLE, UNDECLARED, Better, Kind, Metric

SPLITS = ("train", "val", "test", "population")
LOSSES = ("loss", "error")  # endings of names that a model may log itself; lower is better
PATTERN = re.compile(
    r"(?:(?P<split>[a-z]+)/)?(?P<metric>[a-z0-9_]+)(?:@(?P<k>[1-9][0-9]*))?(?:/(?P<segment>[a-z0-9_.]+))?"
)


@dataclass(frozen=True)
class MetricName:
    """A metric's name, split into its parts.

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
        """Parse any name; a name of another form is taken as a metric without split, `@k` and segment."""
        found = PATTERN.fullmatch(name)
        if found is None:
            return cls("", name, None, "")
        k = found["k"]
        return cls(found["split"] or "", found["metric"], int(k) if k else None, found["segment"] or "")

    @property
    def short(self) -> str:
        """The name without split and segment, such as `ndcg@10`."""
        return self.metric if self.k is None else f"{self.metric}@{self.k}"

    @property
    def declared(self) -> Metric | None:
        """The declared metric; None for one that only a model logs, such as its own loss."""
        return DECLARED.get(self.metric)

    @property
    def is_metric(self) -> bool:
        """Whether it measures a model; False for counts, errors of constants and best reachable values."""
        of_constant = self.segment.startswith(CONSTANTS) or f"_{CONSTANTS}" in self.segment
        return not (self.split in REACHABLE or self.metric.startswith(COUNTS) or of_constant)

    @property
    def better(self) -> Better | None:
        """The better direction; None if there is none or it is unknown."""
        if not self.is_metric:
            return None
        if self.declared:
            return "lower" if self.declared.lower_is_better else "higher"
        return UNDECLARED.get(self.metric, "lower" if self.metric.endswith(LOSSES) else None)


def reachable(metrics: Mapping[str, float], split: str) -> dict[str, float]:
    """Return the best reachable values of the metrics that a run has, by name.

    Of values that differ between splits, such as `ceiling/hit_rate@10/last_k`, it returns that of the run's split,
    under the name of the metric alone.

    >>> reachable({"test/hit_rate@10": 0.2, "ceiling/hit_rate@10/next": 0.6, "ceiling/hit_rate@10/last_k": 0.3,
    ...            "floor/rmse": 1.0}, "last_k")
    {'hit_rate@10': 0.3}
    """
    parsed = {name: MetricName.parse(name) for name in metrics}
    computed = {one.short for one in parsed.values() if one.split not in REACHABLE}
    found = {}
    for name, one in parsed.items():
        if one.split in REACHABLE and one.short in computed:
            of_split = f"{one.split}/{one.short}/{split}"
            if of_split not in metrics or name == of_split:
                found[one.short if name == of_split else name.partition("/")[2]] = metrics[name]
    return found


SPOKEN = {
    **{name: name.upper() for name in ("rmse", "mse", "mae", "ndcg", "map", "mrr")},
    **{name: name.capitalize() for name in ("pearson", "spearman", "kendall")},
    "r2": "R²",
    "unit_mse": "unit MSE",
    "unit_mae": "unit MAE",
}
SPOKEN_SPLITS = {"val": "validation", "train": "training"}


def metric_phrase(name: str) -> str:
    """Return a metric name in words.

    >>> metric_phrase("test/rmse"), metric_phrase("val/ndcg@10/cold_users"), metric_phrase("test/hit_rate@10")
    ('test RMSE', 'validation NDCG@10 of cold users', 'test hit rate@10')
    """
    parsed = MetricName.parse(name)
    metric = SPOKEN.get(parsed.metric, parsed.metric.replace("_", " "))
    words = [SPOKEN_SPLITS.get(parsed.split, parsed.split), metric if parsed.k is None else f"{metric}@{parsed.k}"]
    return " ".join(filter(None, words)) + (f" of {parsed.segment.replace('_', ' ')}" if parsed.segment else "")


def extreme(name: str) -> str:
    """Return "lowest" or "highest": the better end of a metric.

    >>> extreme("test/rmse"), extreme("test/ndcg@10")
    ('lowest', 'highest')
    """
    return "lowest" if lower_is_better(name) else "highest"


def is_metric(name: str) -> bool:
    """Return whether a logged name measures a model.

    >>> [name for name in ("val/rmse", "test/bias", "val/unknown_users", "floor/rmse", "test/mae/by_median")
    ...  if is_metric(name)]
    ['val/rmse', 'test/bias']
    """
    return MetricName.parse(name).is_metric


def logged_name(name: str, *splits: str, among: Collection[str] = ()) -> str:
    """Return the full name of a metric that a user has shortened: without its split or `@k`, or in capital letters.

    Args:
        name: As typed: test/rmse, rmse, NDCG@10 or ndcg.
        splits: The splits that may be meant if `name` has none, in order.
        among: The names to choose from; if none fits, the first split is taken.

    >>> logged_name("ndcg@10", "val"), logged_name("test/rmse", "val"), logged_name("rmse/cold_users", "test")
    ('val/ndcg@10', 'test/rmse', 'test/rmse/cold_users')
    >>> logged_name("R²", "test", "val", among=["val/r2"]), logged_name("NDCG", "test", among=["test/ndcg@10"])
    ('val/r2', 'test/ndcg@10')
    """
    name = name.strip().replace("R²", "r2")
    is_full = name.partition("/")[0] in (*SPLITS, *REACHABLE)
    wanted = [name] if is_full else [f"{split}/{name}" for split in splits]
    fitting = (one for full in wanted for one in among if full.lower() in (one.lower(), one.lower().partition("@")[0]))
    return next(fitting, wanted[0])


def objectives(objective: str | Iterable[str] | None) -> list[str]:
    """Return the metrics named by a config's `objective`; the first one chooses checkpoints.

    >>> objectives("val/rmse"), objectives(["rmse", "val/coverage@10"]), objectives(None)
    (['val/rmse'], ['val/rmse', 'val/coverage@10'], [])
    """
    names = [objective] if isinstance(objective, str) else list(objective or [])
    return [logged_name(name, "val") for name in names]


def is_ranking(name: str) -> bool:
    """Return whether a metric is computed from ranked lists.

    >>> is_ranking("val/ndcg@10"), is_ranking("val/rmse")
    (True, False)
    """
    declared = MetricName.parse(name).declared
    return declared is not None and declared.needs_k


def lower_is_better(name: str) -> bool:
    """Return whether lower values of a logged metric are better; see `has_direction`.

    >>> [name for name in ("test/rmse", "val/ndcg@10", "test/gini@10/cold_users", "val/loss") if lower_is_better(name)]
    ['test/rmse', 'test/gini@10/cold_users', 'val/loss']
    """
    return MetricName.parse(name).better == "lower"


def has_direction(name: str) -> bool:
    """Return whether a logged metric has a better direction, so that models can be chosen by it.

    >>> [has_direction(name) for name in ("test/rmse", "test/interval_coverage", "test/bias/score_6_7", "val/n_users")]
    [True, False, False, False]
    """
    return MetricName.parse(name).better is not None


def minimized(objective: str) -> bool:
    """Return whether an objective is to be minimized.

    Raises:
        UserError: If the name has no better direction.

    >>> minimized("val/rmse"), minimized("val/ndcg@10")
    (True, False)
    """
    if not has_direction(objective):
        usable = ", ".join(f"val/{name}" + "@10" * metric.needs_k for name, metric in sorted(DECLARED.items()))
        raise UserError(f"objective={objective}: not a metric with a better direction; use one of {usable}")
    return lower_is_better(objective)


def parse_metrics(names: Iterable[str], kinds: Collection[Kind] = get_args(Kind)) -> list[MetricName]:
    """Parse the names of metrics to compute, and check that they have one of these kinds.

    Raises:
        UserError: Listing every unknown metric with its closest match, every missing or superfluous `@k`, and every
            metric of another kind.

    >>> parse_metrics(["rsme", "ndcg"])
    Traceback (most recent call last):
    anirec.errors.UserError: Wrong metric names:
      rsme: unknown metric; did you mean rmse?
      ndcg: needs a list length, such as ndcg@10
    """
    names = list(names)
    problems = [
        f"  {name}: {problem}" for name in names if (problem := problem_with(name) or problem_with_kind(name, kinds))
    ]
    if problems:
        raise UserError("\n".join(["Wrong metric names:", *problems]))
    return [MetricName.parse(name) for name in names]


def problem_with(name: str) -> str:
    """Return what is wrong with the name of a metric to compute; empty if nothing is."""
    parsed = MetricName.parse(name)
    if parsed.split or parsed.segment:
        return f"write {parsed.short} alone; split and segment are added automatically"
    if parsed.declared is None:
        near = difflib.get_close_matches(parsed.metric, DECLARED, n=1)
        return "unknown metric; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(DECLARED))}")
    if parsed.declared.needs_k and parsed.k is None:
        return f"needs a list length, such as {name}@10"
    if not parsed.declared.needs_k and parsed.k is not None:
        return f"does not take @k; write {parsed.metric}"
    return ""


def problem_with_kind(name: str, kinds: Collection[str]) -> str:
    """Return an error message if the metric has none of these kinds; else an empty string."""
    fitting = sorted(metric.name for metric in DECLARED.values() if metric.kind in kinds)
    metric = MetricName.parse(name).metric
    return "" if metric in fitting else f"not available in this evaluation; available: {', '.join(fitting)}"
