import numpy as np

from anirec.evaluation.dummies import popular_lists, shuffled_lists
from tests.unit.evaluation.test_top_items import Seen


def test_lists_of_popular_items_agree_with_walking_down_the_list() -> None:
    random = np.random.default_rng(0)
    candidates, count = random.permutation(200)[:150], random.integers(0, 20, 200)
    order = sorted(candidates.tolist(), key=lambda item: -count[item])  # equally popular ones as in `candidates`
    seen = [[sorted(random.choice(200, size=n, replace=False).tolist()) for n in random.integers(0, 200, 30)]]
    seen += [[sorted(order[:n]) for n in random.integers(0, 151, 30)]]
    users = np.array([0, 3, 4, 11, 12, 18, 19, 29])
    lists = popular_lists(count, users, [Seen.of(rows) for rows in seen], k=3, candidates=candidates).items_uk
    for row, user in enumerate(users):
        left = [item for item in order if all(item not in rows[user] for rows in seen)]
        assert lists[row].tolist() == (left + [-1] * 3)[:3]


def test_shuffled_lists_have_another_order_for_each_user() -> None:
    random = np.random.default_rng(1)
    candidates, users = random.permutation(200)[:150], np.arange(600)
    seen = [sorted(random.choice(200, size=20, replace=False).tolist()) for _ in users]
    first, again = (
        shuffled_lists(200, users, [Seen.of(seen)], k=10, candidates=candidates, seed=0).items_uk for _ in range(2)
    )
    assert (first == again).all()
    assert set(np.unique(first)) == set(candidates.tolist()), "600 lists of 10 contain each of 150 titles"
    for items, own in zip(first, seen, strict=True):
        assert len(set(items.tolist()) - set(own)) == 10
