"""Signatures and class attributes that are read from source files."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Len

from anirec.config.definitions import UnknownTargetError, inherits
from anirec.config.signatures import attribute, signature
from anirec.settings import Positive, Share


def names(target: str) -> list[str]:
    return [parameter.name for parameter in signature(target).parameters]


def test_follows_imports_of_other_packages_without_importing_them() -> None:
    script = (
        "import sys; from anirec.config.signatures import signature; signature('sklearn.linear_model.Ridge'); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert "alpha" in names("sklearn.linear_model.Ridge")


def test_inherited_constructor_and_attribute() -> None:
    assert names("anirec.models.one_pass.MemoryBased") == []
    assert "rating" in attribute("anirec.models.ratings.bias.Bias", "requires")
    assert attribute("anirec.data.splits.time.Temporal", "requires") == {"timestamp"}


def test_compiled_classes_are_imported() -> None:
    assert "n_factors" in names("surprise.SVD")


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(UnknownTargetError, match=r"no module anirec\.models\.nothing"):
        signature("anirec.models.nothing.Nothing")
    with pytest.raises(UnknownTargetError):
        signature("anirec.models.ratings.popularity.Unpopularity")


def hints(target: str) -> dict[str, object]:
    return {parameter.name: parameter.hint for parameter in signature(target).parameters}


def test_annotations_in_a_module_outside_anirec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_types.py").write_text(
        "from typing import Annotated\nfrom annotated_types import Gt\n"
        "Rate = Annotated[float, Gt(0)]\nraise SystemExit\n"
    )
    (tmp_path / "their_model.py").write_text(
        "from __future__ import annotations\n"
        "import typing as t\n"
        "from annotated_types import Interval, Len\n"
        "from their_types import Rate as Speed\n"
        "from anirec.settings import Configurable\n"
        "class Base(Configurable):\n"
        "    def __init__(self, *, lr: Speed | None, shape: t.Annotated[list[int], Len(2, 2)]) -> None: ...\n"
        "class Model(Base):\n"
        "    kinds = frozenset({'own'})\n"
        "    def __init__(self, *, share: t.Annotated[float, Interval(ge=0, lt=1)], what: Unheard[int], **settings):\n"
        "        self.kinds = 1\n"
        "raise SystemExit\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = signature("their_model.Model")
    assert not found.open
    assert hints("their_model.Model") == {
        "share": Share,
        "what": Any,
        "lr": Positive | None,
        "shape": Annotated[list[int], Len(2, 2)],
    }
    assert inherits("their_model.Model", "anirec.settings.Configurable")
    assert not inherits("their_model.Speed", "anirec.settings.Configurable")
