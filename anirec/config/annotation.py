"""Annotations read from source as the types that they stand for, so that `anirec.settings` can judge values by them."""

import ast
import typing
from collections import abc
from typing import Any

import annotated_types
from griffe import Attribute, NameResolutionError, Object

from anirec.config.definitions import DEEP, UnknownTargetError, UnreadableError, locate

BUILT_IN = {kind.__name__: kind for kind in (int, float, bool, str, list, dict, tuple, set, frozenset)}
LIBRARIES = {"typing": typing, "collections.abc": abc, "annotated_types": annotated_types}


def hint(annotation: Any, scope: Object) -> Any:
    """The type that an annotation stands for where it is written; Any for what is not known here.

    Args:
        annotation: griffe's expression, or text; None: there is none.
        scope: The module or class in which its names are looked up.
    """
    if annotation is None:
        return Any
    return hint_of(ast.parse(str(annotation), mode="eval").body, scope)


def hint_of(node: ast.expr, scope: Object) -> Any:  # noqa: PLR0911
    match node:
        case ast.Constant():
            return hint(node.value, scope) if isinstance(node.value, str) else node.value
        case ast.BinOp(op=ast.BitOr()):
            return typing.Union[hint_of(node.left, scope), hint_of(node.right, scope)]  # noqa: UP007
        case ast.Subscript():
            return subscripted(hint_of(node.value, scope), node.slice, scope)
        case ast.Call():
            return called(hint_of(node.func, scope), node)
        case ast.List():  # the arguments of a Callable
            return [hint_of(element, scope) for element in node.elts]
        case ast.Name() | ast.Attribute():
            return looked_up(ast.unparse(node), scope)
        case _:
            return Any


def subscripted(kind: Any, node: ast.expr, scope: Object) -> Any:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    if kind is typing.Literal:
        return typing.Literal[tuple(map(ast.literal_eval, parts))]
    arguments = tuple(hint_of(part, scope) for part in parts)
    return Any if kind is Any else kind[arguments if len(arguments) > 1 else arguments[0]]


def called(kind: Any, node: ast.Call) -> Any:
    """A range such as Interval(ge=0, lt=1)."""
    if getattr(kind, "__module__", None) != annotated_types.__name__:
        return Any
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
    return kind(*map(ast.literal_eval, node.args), **given)


def looked_up(name: str, scope: Object) -> Any:
    head, _, rest = name.partition(".")
    try:
        path = f"{scope.resolve(head)}.{rest}".rstrip(".")
    except NameResolutionError:
        return BUILT_IN.get(name, Any)
    library, _, leaf = path.rpartition(".")
    if library in LIBRARIES:
        return getattr(LIBRARIES[library], leaf, Any)
    if path.partition(".")[0] in DEEP:
        return Any
    try:
        found = locate(path)
    except (UnreadableError, UnknownTargetError):
        return Any
    return hint(found.value, found.module) if isinstance(found, Attribute) else Any
