"""Signatures of classes read from their source, without importing it: torch alone would cost a check its seconds.

What cannot be read (a compiled module, a computed value) is imported after all.
"""

import ast
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from anirec.composing.definitions import UnknownTargetError, UnreadableError, lineage, read_to_the_end


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
