import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data import index_arrays
from anirec.data.ratings.interactions import Interactions, UserBlocks


def interactions(users: list[int], n_users: int = 10) -> Interactions:
    user = np.sort(np.array(users, dtype=np.int32))
    return Interactions(user, np.arange(len(user), dtype=np.int32), np.ones(len(user), dtype=np.float32), n_users)


@given(users=st.lists(st.integers(0, 9), max_size=60), rows=st.integers(1, 30), world_size=st.integers(1, 3))
def test_blocks_hold_whole_users_and_every_row_once(users: list[int], rows: int, world_size: int) -> None:
    data = interactions(users)
    shards = [list(UserBlocks(data, rows=rows, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(shard) for shard in shards}) == 1
    batches = [batch for shard in shards for batch in shard]
    assert sorted(int(i) for batch in batches for i in batch.item) == list(range(len(users)))
    owners = [set(batch.user.tolist()) for batch in batches]
    assert sum(len(owner) for owner in owners) == len(set(users))


def test_blocks_are_about_as_large_as_asked() -> None:
    data = interactions(np.repeat(np.arange(100), 7).tolist(), n_users=100)
    sizes = [len(batch.user) for batch in UserBlocks(data, rows=70)]
    assert sizes == [70] * 10


def test_indptr_has_users_without_rows() -> None:
    assert interactions([1, 1, 3], n_users=5).indptr.tolist() == [0, 0, 2, 2, 3, 3]


@pytest.mark.parametrize("n_users", [0, 4])
def test_no_rows_no_batches(n_users: int) -> None:
    assert list(UserBlocks(interactions([], n_users), rows=10)) == []


@pytest.mark.parametrize("world_size", [1, 3])
def test_blocks_come_in_another_order_in_every_pass_and_the_same_for_one_seed(world_size: int) -> None:
    user = np.repeat(np.arange(60, dtype=np.int32), 5)
    rows = Interactions(user, np.tile(np.arange(5, dtype=np.int32), 60), np.ones(300, np.float32), 60)
    epoch = 0

    def passed() -> list[list[int]]:
        """The first user of each block, by process."""
        shares = [
            UserBlocks(rows, rows=20, seed=lambda: (7, epoch), rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        return [[int(batch.user[0]) for batch in share] for share in shares]

    first, again = passed(), passed()
    epoch = 1
    second = passed()
    in_order = [int(batch.user[0]) for batch in UserBlocks(rows, rows=20)]
    assert first == again
    assert first != second
    for shares in (first, second):
        assert len({len(share) for share in shares}) == 1
        together = [user for share in shares for user in share]
        assert sorted(together) == in_order
        assert together != in_order


PAIRS = st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.booleans(), max_size=60)


@given(pairs=PAIRS, block=st.integers(1, 20))
def test_merged_rows_are_sorted_whatever_the_size_of_blocks(pairs: dict[tuple[int, int], bool], block: int) -> None:
    def of(chosen: bool) -> Interactions:
        user, item = (
            np.array(sorted(pair for pair, first in pairs.items() if first == chosen), np.int32).reshape(-1, 2).T
        )
        return Interactions(user.copy(), item.copy(), (100 * user + item).astype(np.float32), 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_arrays, "BLOCK", block)
        merged = of(True).merge(of(False))
    assert list(zip(merged.user.tolist(), merged.item.tolist(), strict=True)) == sorted(pairs)
    assert merged.rating.tolist() == (100 * merged.user + merged.item).tolist()
    assert merged.user.dtype == merged.item.dtype == np.int32
