"""Every split but those with histories: sizes, ties, reproducibility, and settings that are refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data import index_arrays
from anirec.data.splits.base import TEST, TRAIN, VAL, Split, check_parts
from anirec.data.splits.rows import KFold, Random
from anirec.data.splits.time import LastK, Temporal
from anirec.data.splits.titles import WholeItems
from anirec.data.splits.users import PerUser, WholeUsers
from anirec.errors import UserError


def table(users: list[int]) -> pl.DataFrame:
    days = np.random.default_rng(0).permutation(len(users))
    return pl.DataFrame(
        {
            "user": np.sort(np.array(users, dtype=np.int32)),
            "item": (days % 10).astype(np.int32),
            "timestamp": np.datetime64("2020-01-01") + days,
        }
    )


USERS = st.lists(st.integers(0, 8), min_size=20, max_size=80)
SPLITS = [
    Random(test=0.2, val=0.1, seed=1),
    Temporal(test=0.2, val=0.1),
    LastK(test=2, val=1),
    KFold(folds=4, fold=1, val=0.1, seed=1),
    PerUser(test=1, val=1, seed=1),
    WholeItems(test=0.2, val=0.1, seed=1),
]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
@given(users=USERS)
def test_assignment_is_complete_and_reproducible(split: Split, users: list[int]) -> None:
    rows = table(users)
    parts = split.assign(rows)
    assert len(parts) == len(rows)
    assert set(np.unique(parts)) <= {TRAIN, VAL, TEST}
    assert (parts == split.assign(rows)).all()


@pytest.mark.parametrize(
    "split", [*SPLITS, WholeUsers(test=0.2, val=0.1, given=0.5, seed=1)], ids=lambda split: type(split).__name__
)
@given(users=USERS, block=st.integers(1, 30))
def test_parts_do_not_depend_on_the_size_of_blocks(split: Split, users: list[int], block: int) -> None:
    rows = table(users)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_arrays, "BLOCK", block)
        parts = split.assign(rows)
    assert (parts == split.assign(rows)).all()


@given(users=USERS)
def test_shares_are_exact(users: list[int]) -> None:
    parts = Random(test=0.2, val=0.1, seed=3).assign(table(users))
    assert (parts == TEST).sum() == round(0.2 * len(users))
    assert (parts == VAL).sum() == round(0.1 * len(users))


@given(users=USERS, folds=st.integers(2, 6))
def test_folds_test_every_row_once(users: list[int], folds: int) -> None:
    rows = table(users)
    tested = [KFold(folds=folds, fold=fold, val=0, seed=3).assign(rows) == TEST for fold in range(folds)]
    assert (np.sum(tested, axis=0) == 1).all()


@given(users=USERS)
def test_per_user_takes_its_number_from_those_who_have_enough(users: list[int]) -> None:
    rows = table(users)
    parts = PerUser(test=2, val=1, seed=3).assign(rows)
    for user, count in zip(*np.unique(rows["user"], return_counts=True), strict=True):
        own = parts[rows["user"].to_numpy() == user]
        expected = (2, 1) if count > 3 else (0, 0)
        assert ((own == TEST).sum(), (own == VAL).sum()) == expected


def test_temporal_tests_the_latest() -> None:
    rows = table([0] * 50)
    parts = Temporal(test=0.2, val=0.2).assign(rows)
    time = rows["timestamp"].to_numpy()
    assert time[parts == TRAIN].max() < time[parts == VAL].min()
    assert time[parts == VAL].max() < time[parts == TEST].min()


def test_rows_of_one_time_are_in_one_part_whatever_their_order() -> None:
    days = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]
    for order in (np.arange(10), np.arange(10)[::-1]):
        rows = pl.DataFrame({"timestamp": np.datetime64("2020-01-01") + np.array(days)[order]})
        parts = Temporal(test=0.2, val=0.3).assign(rows)
        assert parts[np.argsort(order)].tolist() == [TRAIN] * 3 + [VAL] * 3 + [TEST] * 4


def test_whole_titles_are_held_out_in_exact_shares() -> None:
    rows = table([0] * 50)
    parts = WholeItems(test=0.3, val=0.2, seed=3).assign(rows)
    items = [set(rows["item"].to_numpy()[parts == part]) for part in (TRAIN, VAL, TEST)]
    assert [len(of_part) for of_part in items] == [5, 2, 3]
    assert len(set.union(*items)) == 10


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_unrated_training_rows_do_not_leak_held_out_rows(split: Split) -> None:
    rated, unrated = table([0] * 30), table([0] * 40)
    parts = split.assign(rated)
    allowed = unrated.filter(pl.Series(split.may_train(unrated, rated, parts)))
    held_out = rated.filter(pl.Series(parts != TRAIN))
    assert len(allowed)
    if isinstance(split, WholeItems):
        assert not set(allowed["item"]) & set(held_out["item"])
    elif isinstance(split, Temporal | LastK):
        assert allowed["timestamp"].max() < held_out["timestamp"].min()
    else:
        assert len(allowed) == len(unrated)


def test_rows_without_a_time_train() -> None:
    rows = table([0] * 10).with_columns(
        timestamp=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("timestamp"))
    )
    assert (Temporal(test=0.2, val=0.2).assign(rows)[:5] == TRAIN).all()


def test_no_time_at_all_is_an_error() -> None:
    rows = table([0] * 10).with_columns(timestamp=pl.lit(None, dtype=pl.Datetime))
    with pytest.raises(UserError, match="no row of this dataset has a timestamp"):
        Temporal(test=0.2, val=0.2).assign(rows)


def test_another_seed_is_another_split() -> None:
    rows = table([0] * 100)
    assert (Random(test=0.2, val=0, seed=1).assign(rows) != Random(test=0.2, val=0, seed=2).assign(rows)).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"test": 0}, "test=0: expected a number > 0 and < 1"),
        ({"test": 1.0}, "test=1.0: expected a number > 0 and < 1"),
        ({"test": 0.6, "val": 0.4}, r"split.test=0.6, split.val=0.4: expected shares with test \+ val < 1"),
        ({"val": -0.1}, "val=-0.1: expected a number >= 0 and < 1"),
        ({"seed": -1}, "seed=-1: expected a number >= 0"),
        ({"seed": 2**32}, "seed=4294967296: expected a number >= 0 and <= 4294967295"),
    ],
)
def test_impossible_settings(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Random(**{"test": 0.2, "val": 0.1, "seed": 0, **wrong})


def test_impossible_fold() -> None:
    with pytest.raises(UserError, match="0 <= fold < folds"):
        KFold(folds=5, fold=5, val=0, seed=0)


def test_few_test_rows_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check_parts(SPLITS[0], {"train": 500, "val": 0, "test": 40}, "ratings")
    assert not caplog.messages
    check_parts(SPLITS[0], {"train": 50, "val": 0, "test": 4}, "ratings")
    assert "the test set has 4 ratings only" in caplog.text
