import subprocess
import sys

import pytest

from anirec.composing.annotation import fits
from anirec.composing.definitions import UnknownTargetError
from anirec.composing.signature import attribute, signature


def names(target: str) -> list[str]:
    return [parameter.name for parameter in signature(target).parameters]


def test_follows_imports_of_other_packages_without_importing_them() -> None:
    script = (
        "import sys; from anirec.composing.signature import signature; signature('sklearn.linear_model.Ridge'); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert "alpha" in names("sklearn.linear_model.Ridge")


def test_inherited_constructor_and_attribute() -> None:
    assert names("anirec.models.one_pass.MemoryBased") == []
    assert "rating" in attribute("anirec.models.popularity.Popularity", "requires")
    assert attribute("anirec.data.splits.Temporal", "requires") == {"timestamp"}


def test_compiled_classes_are_imported_after_all() -> None:
    assert "n_factors" in names("surprise.SVD")


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(UnknownTargetError, match=r"no module anirec\.models\.nothing"):
        signature("anirec.models.nothing.Nothing")
    with pytest.raises(UnknownTargetError):
        signature("anirec.models.popularity.Unpopularity")


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "int", True),
        (1.5, "int", False),
        (1, "float", True),
        ("1", "float", False),
        (True, "int", False),
        (None, "float | None", True),
        ("b", "Literal['a', 'b']", True),
        ("c", "Literal['a', 'b']", False),
        ([1], "list[int]", True),
        (1, "list[int]", False),
        ("x", "SomeClass", True),
    ],
)
def test_values_against_annotations(value: object, annotation: str, expected: bool) -> None:
    assert fits(value, annotation) is expected
