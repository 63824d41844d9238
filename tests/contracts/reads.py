"""Record which settings of an object are read after its construction; an unread setting has no effect."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anirec.config.compose import conf_folder
from anirec.features.branch import Branch
from anirec.models.base import Model
from anirec.models.training import HeadTraining
from anirec.settings import Configurable

PARTS = (Model, Branch, HeadTraining)  # the classes that a model's YAML creates
Reads = dict[int, tuple[Any, set[str]]]  # by identity: an object, and the names of its attributes that were read


@contextmanager
def record_reads(reads: Reads) -> Iterator[None]:
    """Record every attribute of configurable objects that is read in the block."""

    def get(self: Any, name: str) -> Any:
        reads.setdefault(id(self), (self, set()))[1].add(name)
        return super(Configurable, self).__getattribute__(name)

    Configurable.__getattribute__ = get  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Configurable.__getattribute__


def unread_settings(reads: Reads, kinds: tuple[type, ...] = PARTS) -> set[str]:
    """Return the settings of objects of these classes that neither code nor the trainer's YAML has read.

    A copy of an object counts as the object.
    """
    of_class: dict[type, set[str]] = {}
    for found, names in reads.values():
        of_class.setdefault(type(found), set()).update(names)
    return {
        f"{type(found).__name__}.{setting}"
        for found, _ in reads.values()
        if isinstance(found, kinds)
        for setting, attributes in attributes_of_settings(type(found)).items()
        if not attributes & of_class[type(found)]
        and setting not in {*settings_read_by_trainer(), "requires"}  # `validate` reads this one
        if any(getattr(found, attribute, None) not in (None, False) for attribute in attributes)  # else switched off
    }


def settings_read_by_trainer() -> set[str]:
    texts = [path.read_text() for path in (conf_folder() / "trainer").glob("*.yaml")]
    return {name for text in texts for name in re.findall(r"model\.(?:training\.)?(\w+)", text)}


def attributes_of_settings(kind: type) -> dict[str, set[str]]:
    """Return, for each constructor argument of a class, the attributes that store it."""
    found: dict[str, set[str]] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base) and issubclass(base, Configurable):
            tree = ast.parse(textwrap.dedent(inspect.getsource(base.__init__)))
            settings = set(inspect.signature(base.__init__).parameters)
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign):
                    for setting, attribute in assigned_settings(node.targets[0], node.value, settings):
                        found.setdefault(setting, set()).add(attribute)
    return found


def assigned_settings(target: ast.expr, value: ast.expr, settings: set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, of_one in zip(target.elts, value.elts, strict=True):
            yield from assigned_settings(one, of_one, settings)
    elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
        for node in ast.walk(value):
            if isinstance(node, ast.Name) and node.id in settings - {"self"}:
                yield node.id, target.attr
