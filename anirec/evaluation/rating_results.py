"""Test results of a rating run beside those of the dummies, and what they mean in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anirec.evaluation.gain import Gain, list_gain, row_gain
from anirec.evaluation.results import Ranked, RatingRows
from anirec.evaluation.segments import RatingCounts, Thirds
from anirec.metrics.ranking import ndcg
from anirec.metrics.rating import rmse

MEANS, POPULAR, SHUFFLED = "damped title means", "the most popular titles", "lists in random order"


@dataclass(frozen=True)
class RankedLists:
    """Lists of a model and of a dummy for the same users.

    Attributes:
        ours: Lists of the model.
        theirs: Lists of the dummy.
        dummy: Name of the dummy.
        count_c: Number of training ratings of every candidate, (C,).
        items_c: Indices of the candidates, (C,).
    """

    ours: Ranked
    theirs: Ranked
    dummy: str
    count_c: RatingCounts
    items_c: NDArray[np.int64]

    @cached_property
    def gain(self) -> Gain:
        ours_u, theirs_u = (ndcg(lists.hits_uk, lists.n_relevant_u) for lists in (self.ours, self.theirs))
        return list_gain("ndcg", ours_u, theirs_u, shown_as=f"NDCG@{self.ours.hits_uk.shape[1]}")

    def times_recommended(self, lists: Ranked) -> NDArray[np.int64]:
        """Return how many lists contain each candidate, (C,)."""
        items_uk = lists.top.items_uk
        return np.bincount(items_uk[items_uk >= 0], minlength=int(self.items_c.max()) + 1)[self.items_c]

    def findings(self) -> Iterator[str]:
        yield self.gain.sentence(self.dummy, rows=f"the lists of {len(self.ours.hits_uk):,} users")
        (share, count), (dummy_share, dummy_count) = (
            ((times > 0).mean(), times @ self.count_c / max(1, times.sum()))
            for times in map(self.times_recommended, (self.ours, self.theirs))
        )
        yield (
            f"The lists contain {share:.1%} of {len(self.items_c):,} titles ({self.dummy}: {dummy_share:.1%}); a "
            f"recommended title has {count:,.0f} training ratings on average ({dummy_count:,.0f})."
        )


@dataclass(frozen=True)
class RatingResults:
    """Test ratings of a model and of the damped title means, and lists of a model and of a dummy.

    Attributes:
        rows: Test ratings and the predictions of the model.
        dummy: Damped mean rating of each row's item, (n,).
        counts: Number of training ratings of each row's user and item, (n,) each, by "users" and "titles".
        lists: None if nothing was ranked.
        why_no_lists: Why no list could be evaluated, as a sentence; empty if lists were, or if no metric needs them.
        rates_by_bias: Whether the predictions are those of the bias model, which say nothing about this model.
        lists_first: Whether the objective is a metric of lists.
    """

    rows: RatingRows
    dummy: NDArray[np.float64]
    counts: dict[str, RatingCounts]
    lists: RankedLists | None
    why_no_lists: str = ""
    rates_by_bias: bool = False
    lists_first: bool = False

    @cached_property
    def gain(self) -> Gain:
        columns = self.rows.prediction, self.dummy, self.rows.target
        return row_gain(rmse, *columns, unit=self.rows.user, unit_name="users")

    def findings(self) -> Iterator[str]:
        """Yield the gains over the dummies, which users and titles are predicted worst, and what the lists contain.

        The findings on the objective come first. Ratings that the bias model predicts are no finding on this model.
        """
        errors = self.error_findings() if self.rows.are_rated and not self.rates_by_bias else ()
        lists = self.lists.findings() if self.lists else [self.why_no_lists] if self.why_no_lists else ()
        yield from (*lists, *errors) if self.lists_first else (*errors, *lists)

    def error_findings(self) -> Iterator[str]:
        yield self.gain.sentence(MEANS, rows=f"{len(self.rows):,} test ratings")
        for noun, index in (("users", self.rows.user), ("titles", self.rows.item)):
            count = self.counts[noun]
            thirds = Thirds.of(count[np.unique(index, return_index=True)[1]])
            errors = {
                name: rmse(self.rows.prediction[mask], self.rows.target[mask]) for name, mask in thirds.masks(count)
            }
            if {"cold", "heavy"} <= set(errors):
                yield (
                    f"RMSE of the third of {noun} with the fewest training ratings (at most {thirds.low:,}): "
                    f"{errors['cold']:.3f}; with the most (more than {thirds.high:,}): {errors['heavy']:.3f}."
                )
