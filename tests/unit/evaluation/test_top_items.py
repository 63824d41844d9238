from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from anirec.evaluation.top_items import TopItems, best_unseen, best_unseen_on_device, find_hits, top_items, top_lists


@dataclass
class Seen:
    item: np.ndarray
    indptr: np.ndarray

    @classmethod
    def of(cls, items: list[list[int]]) -> "Seen":
        return cls(np.concatenate([np.array(some, dtype=np.int32) for some in items]), np.cumsum([0, *map(len, items)]))


@pytest.mark.parametrize("block", [1, 3, 100])
def test_agrees_with_sorting_every_user_alone(block: int) -> None:
    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.normal(size=(20, 30)).astype(np.float32))
    train, val = ([sorted(random.choice(30, size=n, replace=False).tolist()) for n in range(20)] for _ in range(2))
    users = np.array([0, 3, 4, 11, 12, 18, 19])
    top = top_items(lambda some: scores[some], users, [Seen.of(train), Seen.of(val)], k=6, block=block)
    for row, user in enumerate(users):
        unseen = sorted(set(range(30)) - set(train[user]) - set(val[user]), key=lambda item: -scores[user, item])
        expected = (unseen + [-1] * 6)[:6]
        assert top.items_uk[row].tolist() == expected
        assert (
            top.scores_uk[row, top.items_uk[row] >= 0].tolist()
            == scores[user, [i for i in expected if i >= 0]].tolist()
        )


@pytest.mark.parametrize("best", [best_unseen, best_unseen_on_device])
def test_lists_of_several_steps_are_those_of_separate_rankings(best: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anirec.evaluation.top_items.best_unseen", best)
    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.normal(size=(20, 30)).astype(np.float32))
    train, val, given = (Seen.of([sorted(random.choice(30, size=9, replace=False)) for _ in range(20)]) for _ in "tvg")
    users, settings = np.array([0, 4, 11, 18]), {"k": 25, "block": 3}  # the lists end early
    for top, seen in zip(
        top_lists(lambda some: scores[some], users, [[train], [], [val, given]], **settings),
        [[train], [train], [train, val, given]],
        strict=True,
    ):
        alone = top_items(lambda some: scores[some], users, seen, **settings)
        np.testing.assert_array_equal(top.items_uk, alone.items_uk)
        np.testing.assert_array_equal(top.scores_uk, alone.scores_uk)


def test_merged_lists_are_in_the_order_of_the_users_and_each_user_has_one() -> None:
    def lists(users: list[int], score: float) -> TopItems:
        of_users = np.array(users)
        return TopItems(of_users, 10 * of_users[:, None].astype(np.int32), np.full((len(users), 1), score, np.float32))

    merged = lists([3, 7], 1.0).merge(lists([1, 3, 9], 2.0))
    assert merged.users.tolist() == [1, 3, 7, 9]
    assert merged.items_uk[:, 0].tolist() == [10, 30, 70, 90]
    assert merged.scores_uk[:, 0].tolist() == [2.0, 1.0, 1.0, 2.0]


def test_never_writes_into_the_models_own_scores() -> None:
    popularity = torch.arange(4.0)
    seen = Seen.of([[3], [2]])
    top = top_items(lambda users: popularity.expand(len(users), -1), np.arange(2), [seen], k=2, block=2)
    assert top.items_uk.tolist() == [[2, 1], [3, 1]]
    assert popularity.tolist() == [0, 1, 2, 3]


def test_only_what_is_asked_for_is_ranked() -> None:
    scores, seen = torch.tensor([2.0, 9.0, 9.0, 1.0, 3.0]), [Seen.of([[0], []])]
    ranked = {"k": 2, "block": 1, "candidates": np.array([4, 0, 3])}
    top = top_items(lambda users: scores.expand(len(users), -1), np.arange(2), seen, **ranked)
    assert top.items_uk.tolist() == [[4, 3], [4, 0]]
    assert top.scores_uk.tolist() == [[3, 1], [3, 2]]


def test_equal_scores_keep_the_order_of_the_candidates() -> None:
    scores, candidates = torch.tensor([1.0, 3.0, 2.0, 3.0, 2.0, 1.0]), np.array([5, 4, 3, 2, 1, 0])
    ranked = {"users": np.arange(1), "seen": [Seen.of([[]])], "k": 6, "block": 1}
    by_index = top_items(lambda some: scores.expand(len(some), -1), **ranked)
    by_candidates = top_items(lambda some: scores.expand(len(some), -1), candidates=candidates, **ranked)
    assert by_index.items_uk.tolist() == [[1, 3, 2, 4, 0, 5]]
    assert by_candidates.items_uk.tolist() == [[3, 1, 4, 2, 5, 0]]


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("candidates", [None, np.random.default_rng(1).permutation(300)[:200]])
def test_the_kernel_agrees_with_torch_for_any_number_of_threads(
    candidates: np.ndarray | None, threads: int, is_shared: bool
) -> None:
    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.normal(size=(100, 300)).astype(np.float32))
    scores[3, :295] = -torch.inf  # five items are left
    scores = scores[3 * is_shared].expand(100, -1) if is_shared else scores
    users = np.arange(100)
    seen, later = (Seen.of([sorted(random.choice(300, size=30, replace=False)) for _ in users]) for _ in range(2))
    steps = [[seen], [later]]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = best_unseen(scores, users, steps, candidates, 8)
    finally:
        torch.set_num_threads(before)
    theirs = best_unseen_on_device(scores, users, steps, candidates, 8)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("n_users", [1, 2])  # two users share the row
@pytest.mark.parametrize("n_nan", [1, 2, 5])
def test_nan_ranks_first_and_is_never_displaced(n_nan: int, n_users: int) -> None:
    scores = np.random.default_rng(0).normal(size=(1, 90)).astype(np.float32)
    scores[0, [70, 3, 40, 89, 12][:n_nan]] = np.nan
    scores_bi = torch.from_numpy(scores).expand(n_users, -1)
    _, (best,) = best_unseen(scores_bi, np.arange(n_users), [[Seen.of([[]] * n_users)]], None, 2)
    assert np.isnan(best[0]).tolist() == [True, n_nan > 1]
    assert n_nan > 1 or best[0, 1] == np.nanmax(scores)


def test_a_list_longer_than_the_catalogue_ends_early() -> None:
    top = top_items(lambda users: torch.ones(len(users), 3), np.arange(1), [Seen.of([[0]])], k=5, block=8)
    assert sorted(top.items_uk[0, :2].tolist()) == [1, 2]
    assert top.items_uk[0, 2:].tolist() == [-1, -1, -1]


def test_hits_find_each_users_own_items_only() -> None:
    top = top_items(lambda users: -torch.arange(5.0).expand(len(users), -1), np.array([1, 2]), [], k=3, block=8)
    found, n_relevant = find_hits(top, np.array([1, 1, 2, 0]), np.array([0, 4, 2, 1]), n_items=5)
    assert found.tolist() == [[True, False, False], [False, False, True]]
    assert n_relevant.tolist() == [2, 1]
    nobody = np.empty(0, dtype=np.int32)
    found, n_relevant = find_hits(top, nobody, nobody, n_items=5)
    assert not found.any()
    assert n_relevant.tolist() == [0, 0]
