"""Signatures of classes read from their source, without importing it: torch alone would cost a check its seconds.

What cannot be read (a compiled module, a computed value) is imported after all.
"""

import ast
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from griffe import Attribute, Class, Function, ParameterKind

from anirec.config.annotation import hint
from anirec.config.definitions import UnknownTargetError, UnreadableError, is_whole, lineage, locate

CONFIGURABLE = "anirec.settings.Configurable"


@dataclass(frozen=True)
class Parameter:
    """One constructor parameter; `hint` is the type of its annotation, Any if there is none."""

    name: str
    hint: Any
    required: bool


@dataclass(frozen=True)
class Signature:
    """The parameters that a target takes; `open` if it takes any keyword."""

    parameters: tuple[Parameter, ...]
    open: bool


def signature(target: str) -> Signature:
    """What the class or function `target` (dotted path) takes.

    >>> [p.name for p in signature("anirec.models.ratings.popularity.Popularity").parameters]
    ['damping']
    """
    try:
        return read_signature(target)
    except UnreadableError:
        return inspected(imported(target))


def attribute(target: str, name: str) -> Any:
    """The value of a class attribute, its own or inherited; None if there is none.

    >>> sorted(attribute("anirec.models.ratings.popularity.Popularity", "requires"))
    ['item_id', 'rating', 'user_id']
    """
    try:
        return read_attribute(target, name)
    except UnreadableError:
        return getattr(imported(target), name, None)


def read_signature(target: str) -> Signature:
    found = locate(target)
    if isinstance(found, Function):
        return of_functions([found], skip=0)
    if not isinstance(found, Class) or any("dataclass" in str(decorator.value) for decorator in found.decorators):
        raise UnreadableError(target)
    bases = lineage(found)
    hands_on = any(base.path == CONFIGURABLE for base in bases)
    constructors = [init for base in bases if isinstance(init := base.members.get("__init__"), Function)]
    if not constructors and not is_whole(found):
        raise UnreadableError(target)
    return of_functions(constructors[: None if hands_on else 1], skip=1)


def of_functions(functions: list[Function], *, skip: int) -> Signature:
    """The parameters of a function; of several, each of which hands on to the next what it does not name."""
    named: dict[str, Parameter] = {}
    is_open = False
    for function in functions:
        parameters = list(function.parameters)[skip:]
        for p in parameters:
            if p.kind not in (ParameterKind.var_keyword, ParameterKind.var_positional):
                named.setdefault(p.name, Parameter(p.name, hint(p.annotation, function), p.required))
        is_open = any(p.kind is ParameterKind.var_keyword for p in parameters)
        if not is_open:
            break
    return Signature(tuple(named.values()), open=is_open and len(functions) == 1)


def read_attribute(target: str, name: str) -> Any:
    found = locate(target)
    if not isinstance(found, Class):
        raise UnreadableError(target)
    for base in lineage(found):
        member = base.members.get(name)
        if isinstance(member, Attribute) and "class-attribute" in member.labels and member.value:
            return literal(str(member.value))
    if not is_whole(found):
        raise UnreadableError(target)
    return None


def literal(text: str) -> Any:
    """The value of a literal, or of a frozenset of literals."""
    node = ast.parse(text, mode="eval").body
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "frozenset":
            return frozenset(*(ast.literal_eval(argument) for argument in node.args))
        return ast.literal_eval(node)
    except ValueError:
        raise UnreadableError(text) from None


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
        tuple(Parameter(p.name, annotated(p.annotation), p.default is kinds.empty) for p in named),
        open=any(p.kind is kinds.VAR_KEYWORD for p in found.parameters.values()),
    )


def annotated(annotation: Any) -> Any:
    return Any if annotation is inspect.Parameter.empty or isinstance(annotation, str) else annotation
