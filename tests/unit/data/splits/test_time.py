"""Splits in time: windows, the last rows of each user, and titles by air date; ties and unknown times."""

import time
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.splits.base import LATER, TEST, TRAIN, VAL, Split
from anirec.data.splits.time import AirDate, LastK, Rolling, Temporal
from anirec.data.splits.users import GIVEN
from anirec.errors import UserError


def table(users: list[int], days: list[int | None]) -> pl.DataFrame:
    times = [None if day is None else datetime(2017, 1, 1 + day) for day in days]
    rows = pl.DataFrame({"user": users, "timestamp": pl.Series(times, dtype=pl.Datetime("us"))})
    return rows.with_columns(pl.col("user").cast(pl.Int32), item=pl.int_range(pl.len(), dtype=pl.Int32))


def rolling(fold: int, **settings: object) -> Rolling:
    return Rolling(**{"folds": 3, "days": 2, "val_days": 1, "train_days": None, "end": None, **settings, "fold": fold})  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 6))), min_size=1, max_size=60))
def test_last_k_is_its_definition_user_by_user(pairs: list[tuple[int, int | None]]) -> None:
    rows = table(*map(list, zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)))
    known = {day for _, day in pairs if day is not None}
    if len(known) < 2:
        with pytest.raises(UserError, match=r"no row|the same timestamp"):
            LastK(test=2, val=1).assign(rows)
        return
    parts = LastK(test=2, val=1).assign(rows)
    for user in {user for user, _ in pairs}:
        mask = rows["user"].to_numpy() == user
        days = [None if day is None else day.day for day in rows["timestamp"].to_list()]
        own = [(day, part) for day, part, is_own in zip(days, parts, mask, strict=True) if is_own]
        held_out: dict[int, int] = {}
        for part, free in ((TEST, 2), (VAL, 1)):
            most = free
            left = [day for day, _ in own if day is not None and day not in held_out]
            while left and left.count(max(left)) <= most:
                most -= left.count(max(left))
                held_out[max(left)] = part
                left = [day for day in left if day != max(left)]
        expected = [TRAIN if day is None else held_out.get(day, TRAIN) for day, _ in own]
        assert [part for _, part in own] == (expected if TRAIN in expected else [TRAIN] * len(own))


def test_last_k_counts_the_users_whose_last_rows_have_one_time() -> None:
    rows = table([0, 0, 0, 1, 1, 1, 2, 2, 2, 3], [1, 2, 3, 1, 2, 2, 5, 5, 5, 1])
    split = LastK(test=1, val=0)
    parts = split.assign(rows)
    assert parts.tolist() == [TRAIN, TRAIN, TEST] + [TRAIN] * 7
    assert split.notes(rows, parts) == [
        "1 of 4 users have a single row: it is a training row, and they are not tested.",
        "2 of 4 users have fewer than 1 test rows because several of their last rows have the same time: these are "
        "training rows.",
    ]
    with_unknown = rows.with_columns(timestamp=pl.when(pl.col("item") > 0).then("timestamp"))
    assert "1 of 10 rows have no time" in split.notes(with_unknown, split.assign(with_unknown))[-1]


def test_unrated_rows_of_a_user_train_only_before_what_is_held_out_of_that_user() -> None:
    rated, unrated = table([0, 0, 1, 1], [1, 5, 1, 9]), table([0, 0, 1, 2], [4, 5, 6, 9])
    split = LastK(test=1, val=0)
    assert split.may_train(unrated, rated, split.assign(rated)).tolist() == [True, False, True, True]


def test_windows_follow_each_other_and_nothing_trains_on_the_future() -> None:
    rows = table([0] * 12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, None])
    tested = []
    for fold in range(3):
        parts = rolling(fold).assign(rows)
        day = np.arange(11)
        of_part = {part: day[parts[:11] == part] for part in (TRAIN, VAL, TEST, LATER)}
        assert parts[11] == TRAIN
        assert of_part[TRAIN].max() < of_part[VAL].min() <= of_part[VAL].max() < of_part[TEST].min()
        assert len(of_part[LATER]) == 2 * (2 - fold)
        tested += of_part[TEST].tolist()
    assert tested == [5, 6, 7, 8, 9, 10]


def test_a_sliding_window_keeps_older_rows_as_history_only() -> None:
    rows = table([0] * 11, list(range(11)))
    assert rolling(2, train_days=3).assign(rows).tolist() == [GIVEN] * 5 + [TRAIN] * 3 + [VAL] + [TEST] * 2


def test_the_end_of_the_windows_can_be_set() -> None:
    rows = table([0] * 11, list(range(11)))
    parts = rolling(2, end="2017-01-09").assign(rows)
    assert parts.tolist() == [TRAIN] * 5 + [VAL] + [TEST] * 2 + [LATER] * 3
    assert rolling(2, end="2017-01-09").notes(rows, parts) == [
        "Test window: 2017-01-07 00:00 to 2017-01-09 00:00; 3 later rows are not used."
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"end": "2019-01-01"},
            r"no row is in the test window, 2018-12-30 00:00 to 2019-01-01.*2017-01-01 to 2017-01-11",
        ),
        ({"end": "May"}, r"split\.end=May: expected a day in the form 2018-05-01"),
        ({"folds": 2}, r"split\.fold=2, split\.folds=2: expected 0 <= fold < folds"),
    ],
)
def test_windows_that_cannot_be_tested_are_errors(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        rolling(2, **settings).assign(table([0] * 11, list(range(11))))


@pytest.mark.parametrize("split", [rolling(1), LastK(test=1, val=1)], ids=["rolling", "last_k"])
def test_one_time_for_all_rows_is_an_error(split: Split) -> None:
    with pytest.raises(UserError, match="all rows of this dataset have the same timestamp, 2017-01-04"):
        split.assign(table([0, 0, 1], [3, 3, 3]))
    with pytest.raises(UserError, match="1 of 3 rows of this dataset have no timestamp, all others have the same time"):
        split.assign(table([0, 0, 1], [3, 3, None]))


def test_the_time_zone_of_the_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table([0] * 11, list(range(11))).with_columns(pl.col("timestamp") + pl.duration(hours=2, minutes=30))
    found = []
    for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found += [rolling(1, end="2017-03-26").notes(rows, rows["item"].to_numpy()), rolling(1).assign(rows).tolist()]
    monkeypatch.undo()
    time.tzset()
    assert found[:2] == found[2:4] == found[4:]


AIRED = pl.DataFrame(
    {
        "item_id": range(6),
        "aired_from": [
            date(2014, 4, 1),
            date(2015, 6, 1),
            date(2016, 1, 1),
            date(2016, 12, 31),
            date(2017, 1, 1),
            None,
        ],
    }
)


def air_date(fold: int, **settings: object) -> AirDate:
    standard = {"first": "2016-01-01", "months": 12, "val_months": 12, "train_months": None}
    return AirDate(**{**standard, **settings, "fold": fold})  # type: ignore[arg-type]


def test_titles_are_tested_by_the_window_in_which_they_first_aired() -> None:
    split = air_date(0)
    parts = split.assign(AIRED)
    assert parts.tolist() == [TRAIN, VAL, TEST, TEST, LATER, TRAIN]
    assert split.notes(AIRED, parts) == [
        "Test titles aired from 2016-01-01 to before 2017-01-01; 1 later titles are not used.",
        "1 of 6 titles have no air date: they are training titles.",
    ]
    assert air_date(1).assign(AIRED).tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TRAIN]
    assert air_date(1, train_months=12).assign(AIRED).tolist() == [GIVEN, TRAIN, VAL, VAL, TEST, TRAIN]
    assert air_date(3, months=3, val_months=0).assign(AIRED).tolist() == [TRAIN] * 3 + [TEST, LATER, TRAIN]
    assert split.may_train(AIRED, AIRED, parts).tolist() == [True, False, False, False, False, True]


def test_a_season_without_titles_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"split\.fold=9: no title aired in .*2025-01-01 to before 2026-01-01; .*2014-04-01"
    ):
        air_date(9).assign(AIRED)
    with pytest.raises(UserError, match=r"split\.first=spring: expected a day"):
        air_date(0, first="spring")


def test_the_bounds_are_the_latest_training_time_the_earliest_held_out_one_and_the_window() -> None:
    rows = table([0] * 9 + [1], [*range(9), None])
    split = rolling(1)  # windows of days 3-4, 5-6 and 7-8; validation on the day before
    parts = split.assign(rows)
    found = split.bounds(rows, parts)
    assert found["train_until"] == "2017-01-04 00:00:00"
    assert found["held_out_from"] == "2017-01-05 00:00:00"
    assert found["window"].startswith("2017-01-05")
    latest = Temporal(test=0.2, val=0.2)
    assert "window" not in latest.bounds(rows, latest.assign(rows))
    assert latest.bounds(rows, latest.assign(rows))["train_until"] < "2017-01-06"
    assert LastK(test=1, val=1).bounds(rows, parts) == {}
