"""Ranges in annotations: what fits, and that a constructor refuses what does not."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Len, MultipleOf

from anirec.settings import Configurable, Count, Positive, PositiveInt, Seed, SettingsError, Share, problems


class Half(Configurable):
    def __init__(self, *, share: Share, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share


class Other(Configurable):
    def __init__(self, *, hidden: "list[PositiveInt]", weights: Mapping[str, Positive] | None = None) -> None:
        self.hidden, self.weights = hidden, weights


class Both(Half, Other):
    pass


@pytest.mark.parametrize(
    ("value", "annotation", "wrong"),
    [
        (1, int, ""),
        (1.5, int, "expected int, not float"),
        (1, float, ""),
        ("1", float, "expected float, not str"),
        (True, int, "expected int, not bool"),
        (None, float | None, ""),
        ("a", float | None, "expected float | None, not str"),
        ("b", Literal["a", "b"], ""),
        ("c", Literal["a", "b"], "expected one of a, b"),
        (0, Literal[False, "a"], "expected one of False, a"),
        ([1], list[int], ""),
        (1, list[int], "expected list, not int"),
        (object(), Share, ""),
        ({"_target_": "a.B"}, list[int], ""),
        (0, Positive, "expected a number > 0"),
        (float("nan"), float, "expected a finite number"),
        (float("inf"), Positive, "expected a finite number"),
        (-1, Count, "expected a number >= 0"),
        (1, Share, "expected a number >= 0 and < 1"),
        (0.999, Share, ""),
        (0, PositiveInt | None, "expected a number >= 1"),
        (2**32, Seed, "expected a number >= 0 and <= 4294967295"),
        (None, Seed, "expected int, not NoneType"),
        ([], Annotated[list[int], Len(1)], "expected a list of length >= 1"),
        (8, Annotated[int, MultipleOf(16)], "expected a number divisible by 16"),
    ],
)
def test_values_against_annotations(value: object, annotation: Any, wrong: str) -> None:
    found = list(problems("x", value, annotation))
    assert found == ([f"x={value!r}: {wrong}"] if wrong else [])


def test_a_constructor_names_every_setting_that_is_out_of_range() -> None:
    with pytest.raises(SettingsError) as raised:
        Other(hidden=[8, 0], weights={"words": 1, "counts": 0})
    assert raised.value.problems == [
        "hidden[1]=0: expected a number >= 1",
        "weights.counts=0: expected a number > 0",
    ]


def test_settings_that_are_handed_on_are_checked_where_they_arrive() -> None:
    assert Both(share=0.5, hidden=[1]).share == 0.5
    with pytest.raises(SettingsError, match=r"^share=2: expected a number >= 0 and < 1$"):
        Both(share=2, hidden=[1])
    with pytest.raises(SettingsError, match=r"^hidden\[0\]=-1: expected a number >= 1$"):
        Both(share=0.5, hidden=[-1])
