import pytest

from anirec.errors import UserError
from anirec.inference.scales import RATING_SCALE, Scale


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
    assert RATING_SCALE.read(text) == rating


@pytest.mark.parametrize("text", ["11", "-1", "11/10", "101%", "9/7", "9/0", "nine", "", "9.", "1e3", "nan", "9 10"])
def test_everything_else_is_an_error_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(UserError, match="expected a rating"):
        RATING_SCALE.read(text)


def test_forms_are_converted_to_the_scale_of_the_run() -> None:
    assert [Scale(0.5, 5).read(text) for text in ("4", "9/10", "★★", "85%")] == [4, 4.5, 2, 4.25]
    assert [Scale(1, 100).read(text) for text in ("85", "9/10", "★★", "85%")] == [85, 90, 40, 85]
    assert [Scale(-1, 1).read(text) for text in ("-1", "0", "100%")] == [-1, 0, 1]
    with pytest.raises(UserError, match=r"from 0\.5 to 5"):
        Scale(0.5, 5).read("9")


@pytest.mark.parametrize(
    ("text", "scale"), [("1-10", (1, 10)), ("0.5-5", (0.5, 5)), ("100", (0, 100)), ("-1-1", (-1, 1))]
)
def test_scales_are_parsed(text: str, scale: tuple[float, float]) -> None:
    assert Scale.parse(text, "--list-scale") == scale


@pytest.mark.parametrize("text", ["", "10-1", "5-5", "ten", "1..10"])
def test_other_scales_are_errors(text: str) -> None:
    with pytest.raises(UserError, match=r"--list-scale .*expected the lowest and the best rating"):
        Scale.parse(text, "--list-scale")
