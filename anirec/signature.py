"""Signatures of classes read from their source, without importing it: torch alone would cost a check its seconds.

A name is followed through imports and base classes. What cannot be read (a compiled module, a computed value) is
imported after all.
"""

import ast
import importlib
import importlib.util
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

# Packages whose classes are not followed further when they are a base: they say nothing that is asked for here.
DEEP = frozenset({"torch", "pytorch_lightning", "lightning"})


@dataclass(frozen=True)
class Parameter:
    """One constructor parameter. `annotation` is its source text, empty if there is none."""

    name: str
    annotation: str
    required: bool


@dataclass(frozen=True)
class Signature:
    """The parameters that a target takes; `open` if it takes any keyword; `low`, the least value of some."""

    parameters: tuple[Parameter, ...]
    open: bool
    low: dict[str, float] = field(default_factory=dict)


class UnknownTargetError(LookupError):
    """There is no such module or name."""


class UnreadableError(Exception):
    """The source cannot tell; importing can."""


@dataclass(frozen=True)
class Definition:
    """A class or function in the source of a module."""

    module: str
    node: ast.ClassDef | ast.FunctionDef


def signature(target: str) -> Signature:
    """What the class or function `target` (dotted path) takes.

    >>> [p.name for p in signature("anirec.models.popularity.Popularity").parameters]
    ['damping']
    """
    try:
        return read_signature(target)
    except UnreadableError:
        return inspected(imported(target))


def attribute(target: str, name: str) -> Any:
    """The value of a class attribute, its own or inherited; None if there is none.

    >>> sorted(attribute("anirec.models.popularity.Popularity", "requires"))
    ['item_id', 'rating', 'user_id']
    """
    try:
        return read_attribute(target, name)
    except UnreadableError:
        return getattr(imported(target), name, None)


def read_signature(target: str) -> Signature:
    for definition in lineage(target):
        if isinstance(definition.node, ast.FunctionDef):
            return of_function(definition.node, skip=0)
        if any("dataclass" in ast.unparse(decorator) for decorator in definition.node.decorator_list):
            raise UnreadableError(target)
        for statement in definition.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return of_function(statement, skip=1)
    if not read_to_the_end(target):
        raise UnreadableError(target)
    return Signature((), open=False)


def read_attribute(target: str, name: str) -> Any:
    for definition in lineage(target):
        for statement in definition.node.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            value = getattr(statement, "value", None)
            if value is not None and any(isinstance(t, ast.Name) and t.id == name for t in targets):
                return literal(value)
    if not read_to_the_end(target):
        raise UnreadableError(target)
    return None


def literal(node: ast.expr) -> Any:
    """The value of a literal, or of a frozenset of literals."""
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "frozenset":
            return frozenset(*(ast.literal_eval(argument) for argument in node.args))
        return ast.literal_eval(node)
    except ValueError:
        raise UnreadableError(ast.unparse(node)) from None


def of_function(node: ast.FunctionDef, *, skip: int) -> Signature:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args][skip:]
    n_required = len(positional) - min(len(arguments.defaults), len(positional))
    found = [parameter(argument, index < n_required) for index, argument in enumerate(positional)]
    found += [parameter(a, d is None) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return Signature(tuple(found), open=arguments.kwarg is not None, low=dict(least_values(node)))


def least_values(node: ast.FunctionDef) -> Iterator[tuple[str, float]]:
    """What the constructor says with `at_least(1, epochs=epochs)`."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "at_least":
            low = call.args[0]
            if isinstance(low, ast.Constant):
                yield from ((keyword.arg, float(low.value)) for keyword in call.keywords if keyword.arg)  # type: ignore[arg-type]


def parameter(argument: ast.arg, required: bool) -> Parameter:
    return Parameter(argument.arg, ast.unparse(argument.annotation) if argument.annotation else "", required)


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


def imported(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownTargetError(str(error)) from None


def inspected(target: Any) -> Signature:
    try:
        found = inspect.signature(target)
    except (TypeError, ValueError):
        return Signature((), open=True)
    kinds = inspect.Parameter
    named = [p for p in found.parameters.values() if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
    return Signature(
        tuple(Parameter(p.name, annotation_text(p.annotation), p.default is kinds.empty) for p in named),
        open=any(p.kind is kinds.VAR_KEYWORD for p in found.parameters.values()),
    )


def annotation_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation):
        return str(annotation).replace("typing.", "")
    return getattr(annotation, "__name__", str(annotation))
