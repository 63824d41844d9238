"""Blocks of users x items: every row is in one block, and blocks of a stratum share no user and no item."""

from itertools import pairwise

import numpy as np
import pytest

from anirec.data.ratings.interactions import Interactions
from anirec.models.ratings.kernels.grid import balanced_groups, grid_of_users, square_grid, strata


@pytest.fixture(scope="module")
def rows() -> Interactions:
    """Return rows of 300 users and 90 items with power-law popularity; users 0 and 299 have none."""
    random = np.random.default_rng(0)
    is_rated = random.random((300, 90)) < np.minimum(1, 3 / np.arange(1, 91))
    is_rated[[0, -1]] = False
    user, item = (index.astype(np.int32) for index in np.nonzero(is_rated))
    return Interactions(user, item, np.arange(len(user), dtype=np.float32), 300)


@pytest.mark.parametrize("n_groups", [1, 3, 8])
def test_every_row_is_in_the_block_of_its_user_and_item(rows: Interactions, n_groups: int) -> None:
    grid = square_grid(rows, 90, n_groups)
    assert len(grid.users) == n_groups + 1
    group_of_item = np.full(90, -1)
    found = []
    for c in range(n_groups):
        for u in range(rows.n_users):
            block = slice(grid.start[c, u], grid.start[c, u + 1])
            assert np.isin(group_of_item[grid.item[block]], (-1, c)).all()
            group_of_item[grid.item[block]] = c
            found += zip([u] * len(grid.item[block]), grid.item[block], grid.rating[block], strict=True)
    assert sorted(found) == sorted(zip(rows.user, rows.item, rows.rating, strict=True))


def test_groups_have_about_equal_numbers_of_rows(rows: Interactions) -> None:
    grid = square_grid(rows, 90, 8)
    of_items = grid.start[:, -1] - grid.start[:, 0]
    of_users = [rows.indptr[last] - rows.indptr[first] for first, last in pairwise(grid.users)]
    for sizes in (of_items, of_users):
        assert max(sizes) < 1.15 * len(rows) / 8


def test_an_item_larger_than_a_group_has_a_group_of_its_own() -> None:
    groups = balanced_groups(np.array([3, 100, 4, 5]), 2)
    assert groups.tolist() == [1 - groups[1], groups[1], 1 - groups[1], 1 - groups[1]]


def test_groups_of_users_do_not_copy_the_rows(rows: Interactions) -> None:
    grid = grid_of_users(rows, 5)
    assert np.shares_memory(grid.item, rows.item)
    assert np.shares_memory(grid.rating, rows.rating)


@pytest.mark.parametrize(("n_users", "n_items"), [(1, 1), (6, 1), (8, 8), (7, 3)])
def test_strata_hold_every_block_once_and_share_no_group(n_users: int, n_items: int) -> None:
    blocks = strata(n_users, n_items, np.random.default_rng(0))
    assert sorted(map(tuple, blocks.reshape(-1, 2).tolist())) == [
        (g, c) for g in range(n_users) for c in range(n_items)
    ]
    for stratum in blocks:
        assert len(set(stratum[:, 0])) == len(set(stratum[:, 1])) == n_items


def test_the_order_of_blocks_depends_on_the_seed() -> None:
    first, again, other = (strata(8, 8, np.random.default_rng((5, sweep))) for sweep in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
