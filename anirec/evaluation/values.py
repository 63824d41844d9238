"""From evaluated rows and top lists to named values, over everybody and by segment. Undefined ones are NaN."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from anirec.evaluation.results import Ranked, Rows, ScoreRows
from anirec.evaluation.segments import Thirds
from anirec.metrics.beyond_accuracy import Catalogue
from anirec.metrics.definition import DECLARED, Kind, Metric
from anirec.metrics.names import MetricName

Counts = NDArray[np.int64]
Values = Iterator[tuple[str, float]]


def row_values(names: Iterable[MetricName], rows: Rows | ScoreRows) -> Values:
    """`rmse` and its like, of evaluated `rows` with the columns that they ask for."""
    for name, metric in of_kind("rating", "score", names=names):
        yield name.short, metric.function(*(getattr(rows, column) for column in metric.function.columns))


def ranking_values(names: Iterable[MetricName], ranked: Ranked) -> Values:
    """`ndcg@10` and its like: means over the users."""
    for name, value_u in per_user(names, ranked):
        yield name.short, float(value_u.mean())


def list_values(names: Iterable[MetricName], ranked: Ranked, catalogue: Catalogue) -> Values:
    """`novelty@10` and its like: means over the users that they are defined for."""
    for name, metric in of_kind("lists", names=names):
        value = np.asarray(metric.function(ranked.top.items_uk[:, : name.k], catalogue))
        yield name.short, float(value[~np.isnan(value)].mean()) if not np.isnan(value).all() else float("nan")


def segment_values(
    names: list[MetricName], rows: Rows, ranked: Ranked | None, count_u: Counts, count_i: Counts
) -> Values:
    """`rmse/cold_users`, `rmse/heavy_items`, `ndcg@10/middle_users`."""
    for noun, index, counts in (("users", rows.user, count_u), ("items", rows.item, count_i)):
        thirds = Thirds.of(counts[np.unique(index)])
        for segment, mask in thirds.masks(counts[index]):
            for short, value in row_values(names, rows.where(mask)):
                yield f"{short}/{segment}_{noun}", value
        if noun == "users" and ranked:
            for segment, mask in thirds.masks(counts[ranked.top.users]):
                for name, value_u in per_user(names, ranked):
                    yield f"{name.short}/{segment}_{noun}", float(value_u[mask].mean())


def per_user(names: Iterable[MetricName], ranked: Ranked) -> Iterator[tuple[MetricName, NDArray[np.float64]]]:
    """The (U,) values behind each ranking metric."""
    for name, metric in of_kind("ranking", names=names):
        yield name, metric.function(ranked.hits_uk[:, : name.k], ranked.n_relevant_u)


def of_kind(*kinds: Kind, names: Iterable[MetricName]) -> Iterator[tuple[MetricName, Metric]]:
    """The metrics of those kinds."""
    metrics = ((name, DECLARED[name.metric]) for name in names)
    return ((name, metric) for name, metric in metrics if metric.kind in kinds)
