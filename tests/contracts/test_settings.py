"""No setting is ignored: each constructor argument is used, or stored in an attribute that is read."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

from anirec.config.compose import conf_folder
from anirec.settings import Configurable

from .reads import Reads, attributes_of_settings, record_reads, unread_settings

PACKAGE = conf_folder().parent / "anirec"
TARGETS = sorted(
    {t for path in conf_folder().rglob("*.yaml") for t in re.findall(r"_target_: (anirec\.\S+)", path.read_text())}
)


def attributes_read() -> set[str]:
    """Return the names of all attributes that code of the package reads."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(PACKAGE).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def test_every_argument_of_a_target_is_used() -> None:
    read = attributes_read()
    unused = []
    for target in TARGETS:
        module, _, name = target.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        for base in (b for b in kind.__mro__ if "__init__" in vars(b) and b.__module__.startswith("anirec.")):
            tree = ast.parse(textwrap.dedent(inspect.getsource(base.__init__)))
            loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            unused += [
                f"{target}: {p}" for p in inspect.signature(base.__init__).parameters if p not in {*loaded, "self"}
            ]
        unused += [
            f"{target}: {setting}" for setting, kept_as in attributes_of_settings(kind).items() if not kept_as & read
        ]
    assert not unused


def test_every_target_checks_its_arguments() -> None:
    """Exceptions are Lightning's strategy, Hydra's callbacks, and classes that scikit-learn creates and checks."""
    exceptions = {"DataParallel", "TwoPart", "Search", "SweepEnd", "FiguresTensorBoardLogger", "ProgressBar"}
    kinds = [getattr(importlib.import_module(t.rpartition(".")[0]), t.rpartition(".")[2]) for t in TARGETS]
    assert [
        kind.__name__ for kind in kinds if not issubclass(kind, Configurable) and kind.__name__ not in exceptions
    ] == []


class Careless(Configurable):
    def __init__(self, *, used: int, forgotten: int) -> None:
        self.used, self.unused = used, forgotten

    def result(self) -> Any:
        return self.used


def test_an_ignored_setting_is_detected() -> None:
    careless, reads = Careless(used=1, forgotten=2), Reads()
    with record_reads(reads):
        careless.result()
    assert unread_settings(reads, (Careless,)) == {"Careless.forgotten"}
