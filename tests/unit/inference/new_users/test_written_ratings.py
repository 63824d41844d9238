"""Ratings as people write them."""

import pytest

from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.inference.new_users.written_ratings import read_rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("9", 9),
        ("8.5", 8.5),
        ("9,5", 9.5),
        ("９", 9),  # noqa: RUF001
        ("9/10", 9),
        ("4.5/5", 9),
        ("4,5 / 5", 9),
        ("85%", 8.5),
        ("85 %", 8.5),
        ("17/20", 8.5),
        ("★★", 4),
        ("★★★★☆", 8),
        ("⭐️⭐️⭐️", 6),
        ("★★★½", 7),
        ("****", 8),
        ("1/100", 1),  # the lowest rating
        ("0", None),
        ("0/10", None),
        ("☆☆☆☆☆", None),
    ],
)
def test_ratings_are_read_in_the_forms_that_people_write(text: str, rating: float | None) -> None:
    assert read_rating(text, Scale()) == rating


@pytest.mark.parametrize("text", ["11", "-1", "11/10", "101%", "9/7", "9/0", "nine", "", "9.", "1e3", "nan", "9 10"])
def test_everything_else_is_an_error_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(UserError, match="expected a rating"):
        read_rating(text, Scale())


def test_forms_are_converted_to_the_scale_of_the_run() -> None:
    assert [read_rating(text, Scale(0.5, 5)) for text in ("4", "9/10", "★★", "85%")] == [4, 4.5, 2, 4.25]
    assert [read_rating(text, Scale(1, 100)) for text in ("85", "9/10", "★★", "85%")] == [85, 90, 40, 85]
    assert [read_rating(text, Scale(-1, 1)) for text in ("-1", "0", "100%")] == [-1, 0, 1]
    with pytest.raises(UserError, match=r"from 0\.5 to 5"):
        read_rating("9", Scale(0.5, 5))
