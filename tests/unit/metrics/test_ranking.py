import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from anirec.metrics.definition import DECLARED
from anirec.metrics.ranking import average_precision, hit_rate, ndcg, precision, recall, reciprocal_rank


def naive(hits: list[bool], n_relevant: int) -> dict[str, float]:
    """All of them for one user, as the textbook spells them out."""
    k = len(hits)
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
    best = min(n_relevant, k)
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, best + 1))
    return {
        "hit_rate": float(bool(ranks)),
        "precision": len(ranks) / k,
        "recall": len(ranks) / n_relevant,
        "ndcg": sum(1 / math.log2(1 + rank) for rank in ranks) / ideal,
        "map": sum((place + 1) / rank for place, rank in enumerate(ranks)) / best,
        "mrr": 1 / ranks[0] if ranks else 0.0,
    }


users = st.integers(1, 12).flatmap(
    lambda k: st.lists(st.tuples(st.lists(st.booleans(), min_size=k, max_size=k), st.integers(0, 20)), min_size=1)
)


@given(users=users)
def test_agree_with_a_naive_reference(users: list[tuple[list[bool], int]]) -> None:
    n_relevant = np.array([max(sum(hits) + more, 1) for hits, more in users])
    hits = np.array([hits for hits, _ in users])
    expected = [naive(row, n) for row, n in zip(hits.tolist(), n_relevant.tolist(), strict=True)]
    for name in ("hit_rate", "precision", "recall", "ndcg", "map", "mrr"):
        values = DECLARED[name].function(hits, n_relevant)
        assert values == pytest.approx([user[name] for user in expected]), name
        assert values.dtype == np.float64
        assert (values >= 0).all()
        assert (values <= 1 + 1e-12).all()


def test_ndcg_agrees_with_sklearn() -> None:
    random = np.random.default_rng(3)
    relevant, scores = random.random((30, 40)) < 0.1, random.random((30, 40))
    relevant[:, 0] = True
    order = np.argsort(-scores, axis=1)[:, :10]
    ours = ndcg(np.take_along_axis(relevant, order, axis=1), relevant.sum(axis=1))
    assert ours.mean() == pytest.approx(ndcg_score(relevant, scores, k=10))


def test_one_held_out_item_at_rank_three() -> None:
    hits, n_relevant = np.array([[False, False, True, False, False]]), np.array([1])
    assert hit_rate(hits, n_relevant) == recall(hits, n_relevant) == 1
    assert precision(hits, n_relevant) == 1 / 5
    assert average_precision(hits, n_relevant) == reciprocal_rank(hits, n_relevant) == pytest.approx(1 / 3)
    assert ndcg(hits, n_relevant) == 1 / math.log2(4)


def test_a_perfect_list_scores_one_even_when_it_cannot_hold_all_that_is_relevant() -> None:
    hits, n_relevant = np.ones((1, 3), dtype=bool), np.array([50])
    for metric in (hit_rate, precision, ndcg, average_precision, reciprocal_rank):
        assert metric(hits, n_relevant) == pytest.approx(1)
    assert recall(hits, n_relevant) == 3 / 50
