"""Segments: the cold, middle and heavy third of the evaluated users, or items, by their number of training ratings."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from anirec.errors import UserError
from anirec.evaluation.results import Ranked, Rows, ScoreRows
from anirec.metrics.beyond_accuracy import Catalogue
from anirec.metrics.definition import DECLARED, Kind, Metric
from anirec.metrics.names import MetricName

Counts = NDArray[np.integer]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Thirds:
    """Where the thirds end: cold units have at most `low` training ratings, middle ones at most `high`.

    Units with equally many ratings always share a segment, whatever their order, so that the thirds are not of exactly
    equal size, and one may be empty: if most items have a single rating, all these are cold.

    >>> thirds = Thirds.of(np.array([0, 1, 1, 2, 5, 9]))
    >>> thirds
    Thirds(low=1, high=2)
    >>> {name: mask.tolist() for name, mask in thirds.masks(np.array([1, 9, 2]))}
    {'cold': [True, False, False], 'middle': [False, False, True], 'heavy': [False, True, False]}
    """

    low: int
    high: int

    @classmethod
    def of(cls, counts: Counts) -> "Thirds":
        """The thirds of units with these many training ratings, (n,), each unit once."""
        low, high = np.quantile(counts, [1 / 3, 2 / 3], method="inverted_cdf")
        return cls(int(low), int(high))

    def masks(self, counts: Counts) -> Iterator[tuple[str, Mask]]:
        """Which of any rows, whose units have these counts, belong to which segment; empty segments are left out."""
        cold, heavy = counts <= self.low, counts > self.high
        for name, mask in {"cold": cold, "middle": ~cold & ~heavy, "heavy": heavy}.items():
            if mask.any():
                yield name, mask


BandMask = NDArray[np.bool_]


@dataclass(frozen=True)
class Bands:
    """All scores, cut at `edges`; a score on an edge belongs to the band above.

    >>> bands = Bands.of([6, 7.5])
    >>> {name: mask.tolist() for name, mask in bands.masks(np.array([5.9, 6.0, 7.0]))}
    {'score_below_6': [True, False, False], 'score_6_7.5': [False, True, True]}
    """

    edges: tuple[float, ...]

    @classmethod
    def of(cls, edges: Sequence[float]) -> "Bands":
        """No edges: no bands.

        Raises:
            UserError: If the edges do not rise.
        """
        if any(not low < high for low, high in pairwise(edges)):
            raise UserError(f"metrics.bands={list(edges)}: expected rising scores, such as [5, 6, 7, 8]")
        return cls(tuple(float(edge) for edge in edges))

    @property
    def names(self) -> list[str]:
        """Lowest first."""
        if not self.edges:
            return []
        between = [f"score_{low:g}_{high:g}" for low, high in pairwise(self.edges)]
        return [f"score_below_{self.edges[0]:g}", *between, f"score_from_{self.edges[-1]:g}"]

    def masks(self, score: NDArray[np.floating]) -> Iterator[tuple[str, BandMask]]:
        """Which of the scores, (n,), are in which band; empty bands are left out."""
        # 6.7 as float32 lies below the 6.7 of a config.
        band = np.digitize(score, np.asarray(self.edges, dtype=score.dtype))
        for place, name in enumerate(self.names):
            if (mask := band == place).any():
                yield name, mask


SegmentCounts = NDArray[np.int64]
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
    names: list[MetricName], rows: Rows, ranked: Ranked | None, count_u: SegmentCounts, count_i: SegmentCounts
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
