"""Shuffled batches: every row once per epoch, whole users on request, and equal work for all processes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.ratings.interactions import Interactions, RatingBatch
from anirec.data.ratings.loaders import ShuffledInteractions
from anirec.errors import UserError


def interactions(users: list[int]) -> Interactions:
    """Every row has its own number as its item; users 0 to 9, of whom some have no row."""
    user = np.sort(np.array(users, dtype=np.int32))
    return Interactions(user, np.arange(len(user), dtype=np.int32), user.astype(np.float32) / 2, n_users=10)


def epoch(data: Interactions, *, rows: int, whole_users: bool, number: int = 0, seed: int = 1) -> list[RatingBatch]:
    return list(ShuffledInteractions(data, rows=rows, seed=seed, epoch=lambda: number, whole_users=whole_users))


def items(batches: list[RatingBatch]) -> list[int]:
    return [item for batch in batches for item in batch.item.tolist()]


USERS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(users=USERS, rows=st.integers(1, 30), whole_users=st.booleans())
def test_every_row_comes_once_with_its_user_and_rating(users: list[int], rows: int, whole_users: bool) -> None:
    data = interactions(users)
    batches = epoch(data, rows=rows, whole_users=whole_users)
    assert sorted(items(batches)) == list(range(len(users)))
    assert all(len(batch.item) for batch in batches)
    for batch in batches:
        assert batch.user.tolist() == data.user[batch.item.numpy()].tolist()
        assert batch.rating.tolist() == data.rating[batch.item.numpy()].tolist()


@given(users=USERS, rows=st.integers(1, 30))
def test_users_stay_whole(users: list[int], rows: int) -> None:
    batches = epoch(interactions(users), rows=rows, whole_users=True)
    order = [user for batch in batches for user in batch.user.tolist()]
    assert 1 + sum(a != b for a, b in pairwise(order)) == len(set(users)), "a user's rows lie apart"
    assert sum(len(batch.user.unique()) for batch in batches) == len(set(users)), "a user is in two batches"


def test_a_user_of_very_many_rows_leaves_no_batch_empty() -> None:
    users = [0] * 50 + list(range(1, 10))
    for number in range(10):
        sizes = [len(batch.user) for batch in epoch(interactions(users), rows=10, whole_users=True, number=number)]
        assert len(sizes) == 6
        assert min(sizes) >= 1
    assert len(epoch(interactions([3] * 50), rows=10, whole_users=True)) == 1


def test_single_rows_come_in_batches_of_one_size() -> None:
    assert {len(batch.user) for batch in epoch(interactions([1, 2] * 50), rows=20, whole_users=False)} == {20}


@pytest.mark.parametrize("whole_users", [False, True])
def test_the_order_follows_from_seed_and_epoch(whole_users: bool) -> None:
    data = interactions(np.repeat(np.arange(10), 6).tolist())
    first = items(epoch(data, rows=20, whole_users=whole_users))
    assert first == items(epoch(data, rows=20, whole_users=whole_users))
    assert first != items(epoch(data, rows=20, whole_users=whole_users, number=1))
    assert first != items(epoch(data, rows=20, whole_users=whole_users, seed=2))


@given(users=USERS, rows=st.integers(1, 12), world_size=st.integers(2, 3), whole_users=st.booleans())
def test_processes_share_the_rows_in_equally_many_batches(
    users: list[int], rows: int, world_size: int, whole_users: bool
) -> None:
    data = interactions(users)
    settings = {"rows": rows, "seed": 1, "epoch": lambda: 0, "whole_users": whole_users}
    alone = list(ShuffledInteractions(data, **settings))
    if len(alone) < world_size:
        with pytest.raises(UserError, match="are too few for"):
            ShuffledInteractions(data, **settings, world_size=world_size)
        return
    shards = [ShuffledInteractions(data, **settings, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(list(shard)) for shard in shards} == {len(alone) // world_size}
    seen = [item for shard in shards for item in items(list(shard))]
    assert len(set(seen)) == len(seen)
    assert set(seen) == set(items(alone[: len(alone) // world_size * world_size]))


def test_no_rows_are_too_few() -> None:
    with pytest.raises(UserError, match="0 training rows are too few for 1 processes with 8 rows per batch"):
        ShuffledInteractions(interactions([]), rows=8, seed=1, epoch=lambda: 0, whole_users=False)
