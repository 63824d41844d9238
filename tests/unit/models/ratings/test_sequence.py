"""Sequence models: order, windows, padding, ties and causality; and they learn a planted order that ease cannot."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from anirec.config.compose import conf_folder
from anirec.data.ratings.interactions import UNKNOWN, Interactions, RatingBatch
from anirec.data.ratings.sequences import SequenceBatch, SequenceBatches, Sequences
from anirec.errors import UserError
from anirec.models.ratings.sequence import SequenceModel

from .test_transitions import N_ITEMS, N_USERS
from .test_transitions import Sequences as Circle

MODELS = ["sasrec"]


def rows(item: list[int], time: list[int], user: list[int] | None = None) -> Interactions:
    users = np.array(user or [0] * len(item), dtype=np.int32)
    ratings = np.full(len(item), 8, dtype=np.float32)
    return Interactions(users, np.array(item, dtype=np.int32), ratings, int(users.max()) + 1, np.array(time))


def batches(sequences: Sequences, length: int, epoch: int = 0, size: int = 2) -> list[SequenceBatch]:
    return list(SequenceBatches(sequences, length=length, size=size, seed=0, epoch=lambda: epoch))


def made(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"model={name}", *(f"model.{override}" for override in overrides)])
    return instantiate(config.model, _convert_="all")


@pytest.fixture(params=MODELS)
def untrained(request: pytest.FixtureRequest) -> SequenceModel:
    torch.manual_seed(0)
    model: SequenceModel = made(request.param, "n_factors=16", "max_length=8", "init_std=0.5")
    model.n_users, model.n_items = 3, 30
    model.configure_model()
    return model.eval()


def random_batch(n: int, length: int) -> SequenceBatch:
    random = torch.Generator().manual_seed(1)
    item = torch.randint(30, (n, length), generator=random)
    preference = torch.rand(n, length, generator=random)
    return SequenceBatch(item, preference, torch.zeros_like(item), item, torch.full((n,), length))


def test_each_row_is_predicted_once_from_what_came_before_it() -> None:
    sequences = Sequences(rows([0, 1, 2, 3, 4, 5, 9], [50, 40, 30, 20, 10, 0, 7], [0] * 6 + [1]))
    found = batches(sequences, length=4)
    target = torch.cat([batch.target.flatten() for batch in found])
    assert sorted(target[target >= 0].tolist()) == [0, 1, 2, 3, 4, 5, 9]
    pairs = {
        (int(item), int(target))
        for batch in found
        for item, target in zip(batch.item.flatten(), batch.target.flatten(), strict=True)
        if target >= 0
    }
    assert pairs == {(-1, 5), (5, 4), (4, 3), (3, 2), (2, 1), (1, 0), (-1, 9)}


def test_the_newest_entries_count_in_a_ranking() -> None:
    sequences = Sequences(rows([0, 1, 2, 9], [30, 20, 10, 7], [0, 0, 0, 1]))
    newest = sequences.newest_batch(np.array([0, 1, 2]), 2)
    assert newest.item.tolist() == [[1, 0], [-1, 9], [-1, -1]]
    assert newest.length.tolist() == [2, 2, 1]


def test_equal_times_are_in_random_order_and_rows_without_time_come_first() -> None:
    sequences = Sequences(rows(list(range(8)), [UNKNOWN, 5, 5, 5, 5, 9, UNKNOWN, 1]))
    orders = []
    for epoch in range(200):
        (batch,) = batches(sequences, length=8, epoch=epoch)
        orders.append(batch.target[0].tolist())
    assert all(set(order[:2]) == {0, 6} and order[2] == 7 and order[7] == 5 for order in orders)
    first = np.bincount([order[3] for order in orders], minlength=5)[1:]
    assert first.min() > 30, "the id of a title must not decide its place"
    assert batches(sequences, length=8, epoch=3)[0].target[0].tolist() == orders[3]
    assert sequences.order_counts == {"n_rows": 8, "n_unknown_time": 2, "n_tied": 4}


def test_gaps_are_those_between_entries() -> None:
    hour = 3_600_000_000
    sequences = Sequences(rows([0, 1, 2, 3], [UNKNOWN, 0, 0, 24 * hour]))
    assert sequences.gap.tolist() == [0, 0, 1, 5]


def test_data_without_times_are_refused() -> None:
    with pytest.raises(UserError, match="No row of this dataset has a timestamp"):
        Sequences(rows([0, 1], [UNKNOWN, UNKNOWN]))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InstantiationException, match="n_heads=3: expected a divisor of n_factors=64"):
        made("sasrec", "n_heads=3")


def test_later_entries_do_not_change_earlier_outputs(untrained: SequenceModel) -> None:
    batch = random_batch(2, 8)
    later = batch._replace(item=batch.item.clone(), preference=batch.preference.clone())
    later.item[:, 5:], later.preference[:, 5:] = 29 - later.item[:, 5:], -1
    with torch.no_grad():
        before, after = untrained.encode(batch), untrained.encode(later)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=0.01)


def test_padding_and_other_histories_of_a_batch_change_nothing(untrained: SequenceModel) -> None:
    full, short = random_batch(3, 8), random_batch(3, 5)
    padded = SequenceBatch(*(column.clone() for column in full))
    for column, own, nothing in zip(padded[:3], short[:3], (-1, 1, 0), strict=False):
        column[1, :5], column[1, 5:] = own[1], nothing
    with torch.no_grad():
        together, alone = untrained.encode(padded), untrained.encode(SequenceBatch(*(c[1:2] for c in short)))
    torch.testing.assert_close(together[1:2, :5], alone)


@pytest.mark.parametrize("name", MODELS)
def test_the_next_title_of_a_circle_is_learned(name: str, fit: Callable[..., Any]) -> None:
    data: Any = Circle()
    data.given = data.train.where(np.zeros(len(data.train), dtype=bool))
    model = made(name, "n_factors=32", "n_blocks=1", "dropout=0.1", "training.lr_head=0.01", "training.batch_size=16")
    fit(model, data, epochs=25)
    top = model.score_items(torch.arange(N_USERS)).topk(3).indices.numpy()
    assert (top == data.next_item[:, None]).any(axis=1).mean() > 0.7
    in_order = data.train.sort_by_time()
    folded = model.fold_in(in_order.rows(0, len(in_order)), N_USERS)
    items = in_order.item.reshape(N_USERS, -1)
    is_plain = [len(set(item_t)) == len(item_t) for item_t in items.tolist()]  # in a fold-in, repetitions do not count
    assert sum(is_plain) > 50
    scores = model.score_items(torch.arange(N_USERS))
    torch.testing.assert_close(folded[is_plain], scores[is_plain], rtol=1e-4, atol=1e-4)
    forwards, backwards = (
        model.fold_in(RatingBatch(torch.zeros(2).long(), torch.tensor(pair), torch.full((2,), 8.0)), 1)
        for pair in ([3, 7], [7, 3])
    )
    assert not torch.allclose(forwards, backwards, atol=0.1)
    assert folded.shape == (N_USERS, N_ITEMS)


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_threads_changes_nothing(name: str, fit: Callable[..., Any]) -> None:
    data: Any = Circle()
    data.given = data.train.where(np.zeros(len(data.train), dtype=bool))
    tables, before = [], torch.get_num_threads()
    for n in (1, 2):
        torch.set_num_threads(n)
        model = made(name, "n_factors=32", "use_gaps=true")
        fit(model, data, epochs=2)
        tables.append(model.user_table)
    torch.set_num_threads(before)
    torch.testing.assert_close(*tables, rtol=0, atol=0)
