"""Definitions of classes and functions found in source files, without importing them.

A name is followed through imports and base classes; where the source cannot tell, UnreadableError says so.
"""

import ast
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

# Packages whose classes are not followed further when they are a base: they say nothing that is asked for here.
DEEP = frozenset({"torch", "pytorch_lightning", "lightning"})


class UnknownTargetError(LookupError):
    """There is no such module or name."""


class UnreadableError(Exception):
    """The source cannot tell; importing can."""


@dataclass(frozen=True)
class Definition:
    """A class or function in the source of a module."""

    module: str
    node: ast.ClassDef | ast.FunctionDef


def lineage(target: str) -> list[Definition]:
    """The definition of a class and of its bases, in the order in which Python looks at them."""
    return list(dict.fromkeys(found for found in depth_first(target)[::-1] if found))[::-1]


def descends(target: str, ancestor: str) -> bool:
    """Whether the class `target` is or inherits `ancestor`, as far as the source tells.

    >>> descends("anirec.models.popularity.Popularity", "anirec.models.base.Model")
    True
    >>> descends("os.system", "anirec.models.base.Model")
    False
    """
    try:
        return ancestor in [f"{found.module}.{found.node.name}" for found in lineage(target)]
    except (UnreadableError, UnknownTargetError):
        return False


def read_to_the_end(target: str) -> bool:
    return None not in depth_first(target)


def depth_first(target: str) -> list[Definition | None]:
    """A class, then each base with its own bases; None for one that is not followed. The last mention counts."""
    definition = locate(target)
    found: list[Definition | None] = [definition]
    if isinstance(definition.node, ast.ClassDef):
        for base in definition.node.bases:
            name = ast.unparse(base).partition("[")[0]
            if name not in ("object", "ABC", "Protocol", "Generic"):
                found += followed(definition.module, name)
    return found


def followed(module: str, name: str) -> list[Definition | None]:
    try:
        base = resolve(module, name)
        return [None] if base.partition(".")[0] in DEEP else depth_first(base)
    except UnreadableError:
        return [None]


def locate(target: str) -> Definition:
    """Find the definition of a dotted name."""
    module, _, name = target.rpartition(".")
    if not module:
        raise UnknownTargetError(f"{target} is not a dotted path such as anirec.models.popularity.Popularity")
    for node in statements(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Definition(module, node)
    return locate(resolve(module, name))


def resolve(module: str, name: str) -> str:
    """The full dotted path of a name as `module` uses it."""
    head, _, rest = name.partition(".")
    for node in statements(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == head and not rest:
            return f"{module}.{head}"
        if isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) == head:
                    origin = alias.name if isinstance(node, ast.Import) else f"{absolute(module, node)}.{alias.name}"
                    return f"{origin}.{rest}" if rest else origin
    raise UnreadableError(f"{module}.{name}")


def absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    found = spec(module)
    parts = module.split(".")
    is_package = found.submodule_search_locations is not None
    base = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*base, *([node.module] if node.module else [])])


@lru_cache(maxsize=256)
def statements(module: str) -> tuple[ast.stmt, ...]:
    """The top-level statements of a module, those under `if` and `try` included."""
    origin = spec(module).origin
    if origin is None or not origin.endswith(".py"):
        raise UnreadableError(module)
    with Path(origin).open(encoding="utf-8") as file:
        body = ast.parse(file.read()).body
    nested = [inner for node in body if isinstance(node, ast.If | ast.Try) for inner in node.body]
    return (*body, *nested)


@lru_cache(maxsize=256)
def spec(module: str) -> ModuleSpec:
    """Where a module lies. Its parents are not imported for that."""
    path = None
    found: ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        found = PathFinder.find_spec(name, path) or (importlib.util.find_spec(name) if end == 1 else None)
        if found is None:
            raise UnknownTargetError(f"there is no module {name}")
        path = found.submodule_search_locations
        if path is None and end < len(parts):
            raise UnknownTargetError(f"there is no module {'.'.join(parts[: end + 1])}")
    if found is None:
        raise UnknownTargetError(f"there is no module {module}")
    return found
