"""Transitions on generated sequences, where what comes next follows from what was last and popularity says nothing."""

from typing import Any

import numpy as np
import pytest
import torch

from anirec.data.interactions import UNKNOWN, Interactions
from anirec.errors import UserError
from anirec.models.popularity import Popularity
from anirec.models.transitions import Transitions

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


class Sequences:
    """Everybody walks along one circle of items from a place of their own; one step in five leads anywhere."""

    n_users, n_items = N_USERS, N_ITEMS

    def __init__(self, *, timed: bool = True) -> None:
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


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    return Sequences()


def learned(model: Any, data: Sequences) -> Any:
    """Without a trainer: one pass over the rows that the model asks for."""
    model.n_users, model.n_items = N_USERS, N_ITEMS
    model.configure_model()
    model.accumulate(next(iter(model.batches(data, 0, 1))))
    if isinstance(model, Transitions):
        model.history.close()
    model.solve()
    return model


def hit_rate(model: Any, data: Sequences, k: int = 3) -> float:
    top = model.score_items(torch.arange(N_USERS)).topk(k).indices.numpy()
    return float((top == data.next_item[:, None]).any(axis=1).mean())


def test_the_next_item_is_found_where_popularity_cannot(sequences: Sequences) -> None:
    chain, popular = (learned(model, sequences) for model in (Transitions(**SETTINGS), Popularity(damping=5.0)))
    assert hit_rate(chain, sequences) > 0.6
    assert hit_rate(chain, sequences) > 3 * hit_rate(popular, sequences)


def test_the_newest_item_counts_most(sequences: Sequences) -> None:
    model = learned(Transitions(**SETTINGS), sequences)
    rows = sequences.train.in_order_of_time()
    newest = rows.item[rows.indptr[5] : rows.indptr[6]][::-1]
    weights = model.newest(torch.tensor([5])).toarray()[0]
    np.testing.assert_allclose([weights[newest[age]] for age in range(3)], [1, 0.3, 0.09], rtol=1e-6)
    assert weights.sum() == pytest.approx(1.39)


def test_a_window_reaches_over_detours(sequences: Sequences) -> None:
    narrow, wide = (learned(Transitions(**{**SETTINGS, "window": n}), sequences) for n in (1, 3))
    assert len(wide.probability) > len(narrow.probability)


def test_somebody_unknown_is_told_what_is_popular(sequences: Sequences) -> None:
    model = learned(Transitions(**SETTINGS), sequences)
    (scores,) = model.score_items(torch.tensor([-1]))
    assert torch.equal(scores.argsort(stable=True), model.count_i.argsort(stable=True))


def test_rows_without_a_time_come_first() -> None:
    user, item = np.zeros(3, np.int32), np.arange(3, dtype=np.int32)
    rows = Interactions(user, item, np.ones(3, np.float32), 1, np.array([8, 7, UNKNOWN]))
    assert rows.in_order_of_time().item.tolist() == [2, 1, 0]


def test_data_without_times_is_refused() -> None:
    with pytest.raises(UserError, match="No row of this dataset has a timestamp"):
        learned(Transitions(**SETTINGS), Sequences(timed=False))
