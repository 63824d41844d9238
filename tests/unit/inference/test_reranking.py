import numpy as np
import pytest

from anirec.inference.lists import rerank
from anirec.metrics.beyond_accuracy import ItemStatistics, diversity
from anirec.metrics.beyond_accuracy import novelty as mean_novelty

RANDOM = np.random.default_rng(0)
N = 60
SCORES, COUNTS = RANDOM.normal(size=N), RANDOM.integers(1, 2000, N)
GENRES = RANDOM.random((N, 8)) < 0.3
CATALOGUE = ItemStatistics(COUNTS, n_users=4000, genres_ig=GENRES)


def test_without_novelty_the_best_scores_come_in_order() -> None:
    assert rerank(SCORES, COUNTS, GENRES, k=10, novelty=0).tolist() == np.argsort(-SCORES)[:10].tolist()


def test_novelty_trades_score_for_surprise_and_diversity() -> None:
    lists = [rerank(SCORES, COUNTS, GENRES, k=10, novelty=novelty)[None] for novelty in (0.0, 0.5, 1.0)]
    scores = [SCORES[items[0]].mean() for items in lists]
    assert scores == sorted(scores, reverse=True)
    for metric in (mean_novelty, diversity):
        plain, some, most = (metric(items, CATALOGUE)[0] for items in lists)
        assert plain < some <= most + 0.05


def test_with_full_novelty_the_list_alternates_between_genres() -> None:
    genres = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]], dtype=bool)
    chosen = rerank(np.zeros(5), np.array([5, 6, 6, 7, 5]), genres, k=3, novelty=1)
    assert chosen.tolist()[:2] == [0, 2], "the second shares no genre with the first"


def test_a_title_without_genres_does_not_count_as_different() -> None:
    genres = np.array([[1, 0], [0, 0], [0, 1]], dtype=bool)
    assert rerank(np.array([3.0, 2.0, 2.0]), np.ones(3, int), genres, k=2, novelty=0.5).tolist() == [0, 2]


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_list_is_no_longer_than_the_number_of_candidates(n: int) -> None:
    chosen = rerank(SCORES[:n], COUNTS[:n], GENRES[:n], k=10, novelty=0.4)
    assert sorted(chosen.tolist()) == list(range(n))
