"""Splits with histories: which ratings are targets, and which are only known."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.splits.base import TEST, TRAIN, VAL, Split
from anirec.data.splits.users import GIVEN, Masked, WholeUsers
from anirec.errors import UserError


def table(users: list[int]) -> pl.DataFrame:
    user = np.sort(np.array(users, dtype=np.int32))
    return pl.DataFrame({"user": user, "item": np.arange(len(user), dtype=np.int32)})


def masked(seed: int = 1, samples: int = 20) -> Masked:
    return Masked(samples=samples, test=0.2, val=0.1, seed=seed)


def whole_users(seed: int = 1, share: float = 0.5) -> WholeUsers:
    return WholeUsers(test=0.3, val=0.2, given=share, seed=seed)


USERS = st.lists(st.integers(0, 9), min_size=20, max_size=80)


@given(users=USERS)
def test_masked_ratings_are_targets_and_all_others_history(users: list[int]) -> None:
    parts = masked().assign(table(users))
    assert [(parts == part).sum() for part in (TRAIN, VAL, TEST, GIVEN)] == [14, 2, 4, len(users) - 20]


@given(users=USERS, share=st.sampled_from([0.0, 0.5, 0.8]))
def test_of_held_out_users_a_share_is_given_and_nothing_trains(users: list[int], share: float) -> None:
    rows = table(users)
    parts = whole_users(share=share).assign(rows)
    kinds = {}
    for user, n_rows in zip(*np.unique(rows["user"], return_counts=True), strict=True):
        own = parts[rows["user"].to_numpy() == user]
        (kinds[user],) = set(own) - {GIVEN}
        n_given = 0 if kinds[user] == TRAIN else int(share * n_rows)
        assert (own == GIVEN).sum() == n_given
    n_users = len(kinds)
    assert list(kinds.values()).count(TEST) == round(0.3 * n_users)
    assert list(kinds.values()).count(VAL) == round(0.2 * n_users)


def test_given_ratings_are_spread_over_the_list_of_a_user() -> None:
    rows = table(np.repeat(np.arange(100), 40).tolist())
    parts = whole_users().assign(rows)
    place_of_given = np.arange(len(rows))[parts == GIVEN] % 40
    assert 15 < place_of_given.mean() < 24


@pytest.mark.parametrize("made", [masked, whole_users])
def test_the_seed_alone_decides(made: Callable[[int], Split]) -> None:
    rows = table(np.repeat(np.arange(10), 8).tolist())
    assert (made(1).assign(rows) == made(1).assign(rows)).all()
    assert (made(1).assign(rows) != made(2).assign(rows)).any()


def test_held_out_users_do_not_train_on_what_they_left_unrated() -> None:
    rated, unrated = table(list(range(10)) * 4), table(list(range(10)) * 2)
    parts = whole_users().assign(rated)
    allowed = unrated.filter(pl.Series(whole_users().may_train(unrated, rated, parts)))
    assert set(allowed["user"]) == set(rated.filter(pl.Series(parts == TRAIN))["user"])


def test_more_samples_than_ratings_are_refused() -> None:
    with pytest.raises(UserError, match=r"split.samples=20: expected at most 7, the number of ratings"):
        masked().assign(table([1] * 7))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_test_user_must_keep_something_to_test(share: float) -> None:
    with pytest.raises(UserError, match=r"given=.*: expected a number >= 0 and < 1"):
        whole_users(share=share)


@pytest.mark.parametrize("split", [Masked, WholeUsers])
def test_impossible_shares(split: Callable[..., Split]) -> None:
    own = {"samples": 10} if split is Masked else {"given": 0.5}
    with pytest.raises(UserError, match="expected shares"):
        split(test=0.6, val=0.4, seed=0, **own)
