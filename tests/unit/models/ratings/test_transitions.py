"""Transitions on generated sequences, where the next item depends on the last one and not on popularity."""

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch

from anirec.data.ratings.interactions import UNKNOWN, Interactions
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.lightning import LightningDataModule
from anirec.models.ratings.popularity import Popularity
from anirec.models.ratings.transitions import Transitions, newest_items, transition_counts

N_USERS, N_ITEMS, LENGTH = 200, 40, 9
SETTINGS: dict[str, Any] = {
    "window": 1,
    "gap_decay": 0.5,
    "shrinkage": 1.0,
    "last": 3,
    "decay": 0.3,
    "damping_user": 5.0,
    "damping_item": 5.0,
}


class Sequences(LightningDataModule):
    """Users follow one circle of items from random starts; one step in five leads to a random item."""

    scale = Scale()

    n_users, n_items = N_USERS, N_ITEMS

    def __init__(self, *, timed: bool = True) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        circle = random.permutation(N_ITEMS)
        places = random.integers(N_ITEMS, size=(N_USERS, 1)) + np.arange(LENGTH + 1)
        walk_ut = circle[places % N_ITEMS]
        self.next_item = walk_ut[:, -1]
        astray = random.random((N_USERS, LENGTH)) < 0.2
        walk_ut = np.where(astray, random.integers(N_ITEMS, size=(N_USERS, LENGTH)), walk_ut[:, :-1])
        user, time = np.indices((N_USERS, LENGTH)).reshape(2, -1)
        item = walk_ut.ravel()
        order = np.lexsort((item, user))
        self.train = Interactions(
            user[order].astype(np.int32),
            item[order].astype(np.int32),
            random.integers(5, 10, len(order)).astype(np.float32),
            N_USERS,
            time[order] if timed else None,
        )
        self.train_and_unrated = self.train

    def train_dataloader(self) -> Any:
        return self.trainer.lightning_module.batches(self, 0, 1)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    return Sequences()


@pytest.fixture(scope="module")
def learned(fit) -> Callable[..., Any]:
    def learn(model: Any, data: Any) -> Any:
        fit(model, data)
        return model

    return learn


def hit_rate(model: Any, data: Sequences, k: int = 3) -> float:
    top = model.score_items(torch.arange(N_USERS)).topk(k).indices.numpy()
    return float((top == data.next_item[:, None]).any(axis=1).mean())


def test_the_next_item_is_found_better_than_by_popularity(sequences: Sequences, learned: Callable[..., Any]) -> None:
    chain, popular = (learned(model, sequences) for model in (Transitions(**SETTINGS), Popularity(damping=5.0)))
    assert hit_rate(chain, sequences) > 0.6
    assert hit_rate(chain, sequences) > 3 * hit_rate(popular, sequences)
    assert chain.findings == []


def test_the_newest_item_counts_most(sequences: Sequences) -> None:
    rows = sequences.train.sort_by_time()
    newest = rows.item[rows.indptr[5] : rows.indptr[6]][::-1]
    weights = newest_items(rows, N_USERS, N_ITEMS, last=3, decay=0.3).toarray()[5]
    np.testing.assert_allclose([weights[newest[age]] for age in range(3)], [1, 0.3, 0.09], rtol=1e-6)
    assert weights.sum() == pytest.approx(1.39)


def test_a_wider_window_has_more_transitions(sequences: Sequences, learned: Callable[..., Any]) -> None:
    narrow, wide = (learned(Transitions(**{**SETTINGS, "window": n}), sequences) for n in (1, 3))
    assert len(wide.next_item) > len(narrow.next_item)


def test_an_unknown_user_gets_popular_items(sequences: Sequences, learned: Callable[..., Any]) -> None:
    model = learned(Transitions(**SETTINGS), sequences)
    (scores,) = model.score_items(torch.tensor([-1]))
    assert torch.equal(scores.argsort(stable=True), model.count_i.argsort(stable=True))


def rows_of(user: list[int], item: list[int], time: list[int]) -> Interactions:
    columns = np.array(user, np.int32), np.array(item, np.int32), np.ones(len(user), np.float32)
    return Interactions(*columns, max(user) + 1, np.array(time))


def test_rows_of_one_time_form_a_moment_and_rows_without_time_none() -> None:
    rows = rows_of([0, 0, 0, 0, 1], [0, 1, 2, 3, 0], [8, 7, UNKNOWN, 8, 8]).sort_by_time()
    assert rows.item.tolist() == [1, 0, 3, 0]
    assert rows.time_group.tolist() == [0, 1, 1, 2]


def naive_counts(rows: Interactions, n_items: int, window: int, decay: float) -> np.ndarray:
    """Count transitions as in the model's docstring, user by user and pair by pair."""
    counts = np.zeros((n_items, n_items))
    for user in np.unique(rows.user):
        times = rows.time[rows.user == user]
        items = [rows.item[(rows.user == user) & (rows.time == time)] for time in sorted({*times} - {UNKNOWN})]
        for (a, before), (b, after) in combinations(enumerate(items), 2):
            for j, i in product(before, after):
                if b - a <= window:
                    counts[j, i] += decay ** (b - a - 1) / len(before) / len(after)
    return counts


@pytest.fixture
def tied() -> Interactions:
    """Return rows of which some have no time and most have the time of another row of the user."""
    random = np.random.default_rng(4)
    user, item = np.nonzero(random.random((6, 9)) < 0.8)
    time = random.choice([UNKNOWN, 1, 2, 3, 4], size=len(user))
    return rows_of(user.tolist(), item.tolist(), time.tolist())


def test_pairs_without_a_known_order_do_not_count(tied: Interactions) -> None:
    ordered = tied.sort_by_time()
    counts = transition_counts(ordered, 9, window=2, decay=0.5).toarray()
    np.testing.assert_allclose(counts, naive_counts(tied, 9, 2, 0.5))
    assert np.diagonal(counts).sum() == 0


def test_the_order_of_item_indices_has_no_effect(tied: Interactions) -> None:
    """Renumbering the items gives the same counts and the same newest items."""
    number = np.random.default_rng(0).permutation(9)
    order = np.lexsort((number[tied.item], tied.user))
    assert tied.time is not None
    renamed = Interactions(tied.user[order], number[tied.item][order], tied.rating[order], 6, tied.time[order])
    for found in (
        lambda rows: transition_counts(rows.sort_by_time(), 9, window=3, decay=0.5).toarray(),
        lambda rows: newest_items(rows.sort_by_time(), 6, 9, last=2, decay=0.3).toarray(),
    ):
        ours, theirs = found(tied), found(renamed)
        np.testing.assert_allclose(theirs[..., number][number] if len(ours) == 9 else theirs[:, number], ours)


def test_a_run_reports_how_many_rows_have_no_order(sequences: Sequences, learned: Callable[..., Any]) -> None:
    data = Sequences()
    data.train.time[:20], data.train.time[data.train.user == 9] = UNKNOWN, 7
    n_tied = int((data.train.user == 9).sum())
    model = learned(Transitions(**SETTINGS), data)
    assert model.provenance() == {"order": {"n_rows": len(data.train), "n_unknown_time": 20, "n_tied": n_tied}}
    (finding,) = model.findings
    assert f"20 have no time and are excluded from transitions; {n_tied} have the same time as another" in finding


def test_data_without_times_is_refused(learned: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="No row of this dataset has a timestamp"):
        learned(Transitions(**SETTINGS), Sequences(timed=False))
