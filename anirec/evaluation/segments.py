"""Segments: thirds of users and items by number of training ratings, bands of scores, and metrics within segments."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anirec.errors import UserError
from anirec.evaluation.results import Ranked, RatingRows, ScoreRows
from anirec.metrics.beyond_accuracy import ItemStatistics
from anirec.metrics.definition import DECLARED, Kind, Metric
from anirec.metrics.names import MetricName
from anirec.metrics.popularity_bias import RankedUsers

RatingCounts = NDArray[np.integer]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Thirds:
    """Limits of the thirds: cold units have at most `low` training ratings, middle ones at most `high`.

    Units with equally many ratings always share a segment. The thirds are therefore not of exactly equal size, and one
    may be empty: if most items have a single rating, all of these are cold.

    >>> thirds = Thirds.of(np.array([0, 1, 1, 2, 5, 9]))
    >>> thirds
    Thirds(low=1, high=2)
    >>> {name: mask.tolist() for name, mask in thirds.masks(np.array([1, 9, 2]))}
    {'cold': [True, False, False], 'middle': [False, False, True], 'heavy': [False, True, False]}
    """

    low: int
    high: int

    @classmethod
    def of(cls, counts: RatingCounts) -> "Thirds":
        """Compute the thirds of units with these numbers of training ratings, (n,), one entry per unit."""
        low, high = np.quantile(counts, [1 / 3, 2 / 3], method="inverted_cdf")
        return cls(int(low), int(high))

    def masks(self, counts: RatingCounts) -> Iterator[tuple[str, Mask]]:
        """Yield name and mask of each segment for rows whose units have these counts; empty segments are skipped."""
        cold, heavy = counts <= self.low, counts > self.high
        for name, mask in {"cold": cold, "middle": ~cold & ~heavy, "heavy": heavy}.items():
            if mask.any():
                yield name, mask


@dataclass(frozen=True)
class Bands:
    """The score scale, divided at `edges`; a score equal to an edge belongs to the band above it.

    >>> bands = Bands.of([6, 7.5])
    >>> {name: mask.tolist() for name, mask in bands.masks(np.array([5.9, 6.0, 7.0]))}
    {'score_below_6': [True, False, False], 'score_6_7.5': [False, True, True]}
    """

    edges: tuple[float, ...]

    @classmethod
    def of(cls, edges: Sequence[float]) -> "Bands":
        """Make bands from their edges; without edges there are no bands.

        Raises:
            UserError: If the edges are not strictly increasing.
        """
        if any(not low < high for low, high in pairwise(edges)):
            raise UserError(f"metrics.bands={list(edges)}: expected increasing scores, such as [5, 6, 7, 8]")
        return cls(tuple(float(edge) for edge in edges))

    @property
    def names(self) -> list[str]:
        """Names of the bands, lowest first."""
        if not self.edges:
            return []
        between = [f"score_{low:g}_{high:g}" for low, high in pairwise(self.edges)]
        return [f"score_below_{self.edges[0]:g}", *between, f"score_from_{self.edges[-1]:g}"]

    def masks(self, score: NDArray[np.floating]) -> Iterator[tuple[str, Mask]]:
        """Yield name and mask of each band for scores (n,); empty bands are skipped."""
        # The float32 value 6.7 is below the float64 value 6.7 of a config.
        band = np.digitize(score, np.asarray(self.edges, dtype=score.dtype))
        for place, name in enumerate(self.names):
            if (mask := band == place).any():
                yield name, mask


def distinct(index: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the distinct values of indices >= -1, ascending; faster than `np.unique`.

    >>> distinct(np.array([4, -1, 4, 2]))
    array([-1,  2,  4])
    """
    return np.flatnonzero(np.bincount(index + 1)) - 1


NamedValues = Iterator[tuple[str, float]]


def row_values(names: Iterable[MetricName], rows: RatingRows | ScoreRows) -> NamedValues:
    """Yield the rating and score metrics of the rows, such as `rmse`."""
    for name, metric in select_kind("rating", "score", names=names):
        yield name.short, metric.function(*(getattr(rows, column) for column in metric.function.columns))


def ranking_values(names: Iterable[MetricName], ranked: Ranked) -> NamedValues:
    """Yield the ranking metrics, such as `ndcg@10`: means over the users."""
    for name, value_u in per_user(names, ranked):
        yield name.short, float(value_u.mean())


def list_values(names: Iterable[MetricName], ranked: Ranked, statistics: ItemStatistics) -> NamedValues:
    """Yield the list metrics, such as `novelty@10`: means over the users for whom they are defined."""
    for name, metric in select_kind("lists", names=names):
        yield name.short, defined_mean(metric.function(ranked.top.items_uk[:, : name.k], statistics))


def user_values(
    names: Iterable[MetricName], ranked: Ranked, statistics: ItemStatistics, users: RankedUsers
) -> NamedValues:
    """Yield the metrics of popularity bias and calibration, such as `pop_reo@10`: values, or means over the users."""
    for name, metric in select_kind("users", names=names):
        yield name.short, defined_mean(metric.function(ranked.top.items_uk[:, : name.k], statistics, users))


def defined_mean(values: ArrayLike) -> float:
    """Return the mean of one value, or of those of all users, without NaN; NaN if none is left."""
    value = np.asarray(values, dtype=np.float64)
    value = value[~np.isnan(value)]
    return float(value.mean()) if value.size else float("nan")


def segment_values(
    names: list[MetricName], rows: RatingRows, ranked: Ranked | None, count_u: RatingCounts, count_i: RatingCounts
) -> NamedValues:
    """Yield metrics in segments: `rmse/cold_users`, `rmse/heavy_items`, `ndcg@10/middle_users`."""
    for noun, index, counts in (("users", rows.user, count_u), ("items", rows.item, count_i)):
        thirds = Thirds.of(counts[distinct(index)])
        for segment, mask in thirds.masks(counts[index]):
            for short, value in row_values(names, rows.where(mask)):
                yield f"{short}/{segment}_{noun}", value
        if noun == "users" and ranked:
            for segment, mask in thirds.masks(counts[ranked.top.users]):
                for name, value_u in per_user(names, ranked):
                    yield f"{name.short}/{segment}_{noun}", float(value_u[mask].mean())


def per_user(names: Iterable[MetricName], ranked: Ranked) -> Iterator[tuple[MetricName, NDArray[np.float64]]]:
    """Yield the values (U,) of each ranking metric."""
    for name, metric in select_kind("ranking", names=names):
        yield name, metric.function(ranked.hits_uk[:, : name.k], ranked.n_relevant_u)


def select_kind(*kinds: Kind, names: Iterable[MetricName]) -> Iterator[tuple[MetricName, Metric]]:
    """Yield the metrics of these kinds."""
    metrics = ((name, DECLARED[name.metric]) for name in names)
    return ((name, metric) for name, metric in metrics if metric.kind in kinds)
