"""Signatures of classes and functions, read from their source without importing it: importing torch takes seconds.

What the source does not show (a compiled module, a computed value) is imported after all.
"""

import ast
import importlib
import inspect
import typing
from collections import abc
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import annotated_types
from griffe import Attribute, Class, Function, NameResolutionError, Object, ParameterKind

from anirec import settings
from anirec.config.definitions import (
    UnknownTargetError,
    UnreadableSourceError,
    find_definition,
    has_known_bases,
    lineage,
)

BUILT_IN = {kind.__name__: kind for kind in (int, float, bool, str, list, dict, tuple, set, frozenset)}
LIBRARIES = {"typing": typing, "collections.abc": abc, "annotated_types": annotated_types, "anirec.settings": settings}


def resolve_annotation(annotation: Any, scope: Object) -> Any:
    """Return the type that an annotation stands for; Any if it cannot be resolved.

    Args:
        annotation: A griffe expression, text, or None if there is no annotation.
        scope: The module, class or function in which its names are resolved.
    """
    if annotation is None:
        return Any
    return resolve_node(ast.parse(str(annotation), mode="eval").body, scope)


def resolve_node(node: ast.expr, scope: Object) -> Any:  # noqa: PLR0911
    match node:
        case ast.Constant():
            return resolve_annotation(node.value, scope) if isinstance(node.value, str) else node.value
        case ast.BinOp(op=ast.BitOr()):
            return typing.Union[resolve_node(node.left, scope), resolve_node(node.right, scope)]  # noqa: UP007
        case ast.Subscript():
            return resolve_subscript(resolve_node(node.value, scope), node.slice, scope)
        case ast.Call():
            return resolve_range(resolve_node(node.func, scope), node)
        case ast.List():  # the arguments of a Callable
            return [resolve_node(element, scope) for element in node.elts]
        case ast.Name() | ast.Attribute():
            return resolve_name(ast.unparse(node), scope)
        case _:
            return Any


def resolve_subscript(kind: Any, node: ast.expr, scope: Object) -> Any:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    if kind is typing.Literal:
        return typing.Literal[tuple(map(ast.literal_eval, parts))]
    arguments = tuple(resolve_node(part, scope) for part in parts)
    return Any if kind is Any else kind[arguments if len(arguments) > 1 else arguments[0]]


def resolve_range(kind: Any, node: ast.Call) -> Any:
    """Return a range of annotated_types or of anirec.settings, such as Interval(ge=0, lt=1)."""
    if getattr(kind, "__module__", None) not in (annotated_types.__name__, settings.__name__):
        return Any
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
    return kind(*map(ast.literal_eval, node.args), **given)


def resolve_name(name: str, scope: Object) -> Any:
    head, _, rest = name.partition(".")
    try:
        path = f"{scope.resolve(head)}.{rest}".rstrip(".")
    except NameResolutionError:
        return BUILT_IN.get(name, Any)
    library, _, leaf = path.rpartition(".")
    if library in LIBRARIES:
        return getattr(LIBRARIES[library], leaf, Any)
    if path.startswith("torch."):
        return Any
    try:
        found = find_definition(path)
    except (UnreadableSourceError, UnknownTargetError):
        return Any
    return resolve_annotation(found.value, found.module) if isinstance(found, Attribute) else Any


CONFIGURABLE = "anirec.settings.Configurable"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor or function; `hint` is the type of its annotation, Any if there is none."""

    name: str
    hint: Any
    required: bool


@dataclass(frozen=True)
class Signature:
    """The parameters of a target; `open` if it accepts any keyword."""

    parameters: tuple[Parameter, ...]
    open: bool


def signature(target: str) -> Signature:
    """Return the signature of a class or function, given by its dotted path.

    Raises:
        UnknownTargetError: There is no such module or name.

    >>> [p.name for p in signature("anirec.models.ratings.popularity.Popularity").parameters]
    ['damping']
    """
    try:
        return read_signature(target)
    except UnreadableSourceError:
        return inspect_signature(import_target(target))


def attribute(target: str, name: str) -> Any:
    """Return the value of a class attribute, its own or inherited; None if there is none.

    Raises:
        UnknownTargetError: There is no such module or name.

    >>> sorted(attribute("anirec.models.ratings.popularity.Popularity", "requires"))
    ['item_id', 'user_id']
    """
    try:
        return read_attribute(target, name)
    except UnreadableSourceError:
        return getattr(import_target(target), name, None)


def own_attribute(target: str, name: str) -> Any:
    """Return the value of an attribute that a class itself defines; None if it does not, whatever its bases define.

    >>> own_attribute("anirec.models.ratings.popularity.Popularity", "uses_seed")
    False
    """
    try:
        found = find_definition(target)
    except UnreadableSourceError:
        return vars(import_target(target)).get(name)
    member = found.members.get(name)
    return literal_value(str(member.value)) if isinstance(member, Attribute) and member.value else None


def declarations(target: str, name: str) -> list[Any]:
    """Return the values that a class and its bases give to a class attribute, as far as their source shows.

    >>> declarations("anirec.models.ratings.blend.Blend", "constraints")
    ['anirec.models.constraints:check_blend', '']
    """
    try:
        found = find_definition(target)
    except UnreadableSourceError:
        return []
    members = [base.members.get(name) for base in lineage(found)] if isinstance(found, Class) else []
    return [literal_value(str(m.value)) for m in members if isinstance(m, Attribute) and m.value]


@lru_cache
def read_signature(target: str) -> Signature:
    found = find_definition(target)
    if isinstance(found, Function):
        return merge_parameters([found], skip=0)
    if not isinstance(found, Class) or any("dataclass" in str(decorator.value) for decorator in found.decorators):
        raise UnreadableSourceError(target)
    bases = lineage(found)
    passes_keywords = any(base.path == CONFIGURABLE for base in bases)
    constructors = [init for base in bases if isinstance(init := base.members.get("__init__"), Function)]
    if not constructors and not has_known_bases(found):
        raise UnreadableSourceError(target)
    return merge_parameters(constructors[: None if passes_keywords else 1], skip=1)


def merge_parameters(functions: list[Function], *, skip: int) -> Signature:
    """Return the parameters of a function, or of several, each of which passes its other keywords to the next."""
    named: dict[str, Parameter] = {}
    is_open = False
    for function in functions:
        parameters = list(function.parameters)[skip:]
        for p in parameters:
            if p.kind not in (ParameterKind.var_keyword, ParameterKind.var_positional):
                named.setdefault(p.name, Parameter(p.name, resolve_annotation(p.annotation, function), p.required))
        is_open = any(p.kind is ParameterKind.var_keyword for p in parameters)
        if not is_open:
            break
    return Signature(tuple(named.values()), open=is_open and len(functions) == 1)


def read_attribute(target: str, name: str) -> Any:
    found = find_definition(target)
    if not isinstance(found, Class):
        raise UnreadableSourceError(target)
    for base in lineage(found):
        member = base.members.get(name)
        if isinstance(member, Attribute) and "class-attribute" in member.labels and member.value:
            return literal_value(str(member.value))
    if not has_known_bases(found):
        raise UnreadableSourceError(target)
    return None


def literal_value(text: str) -> Any:
    """Return the value of a literal, or of a frozenset of literals."""
    node = ast.parse(text, mode="eval").body
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "frozenset":
            return frozenset(*(ast.literal_eval(argument) for argument in node.args))
        return ast.literal_eval(node)
    except ValueError:
        raise UnreadableSourceError(text) from None


def import_target(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownTargetError(str(error)) from None


def inspect_signature(target: Any) -> Signature:
    try:
        found = inspect.signature(target)
    except (TypeError, ValueError):
        return Signature((), open=True)
    kinds = inspect.Parameter
    named = [p for p in found.parameters.values() if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
    return Signature(
        tuple(Parameter(p.name, annotation_or_any(p.annotation), p.default is kinds.empty) for p in named),
        open=any(p.kind is kinds.VAR_KEYWORD for p in found.parameters.values()),
    )


def annotation_or_any(annotation: Any) -> Any:
    return Any if annotation is inspect.Parameter.empty or isinstance(annotation, str) else annotation
