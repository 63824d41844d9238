"""Checks of constructor arguments against the types and ranges in their annotations.

    class Ridge(Configurable):
        def __init__(self, *, alpha: Positive) -> None: ...

    Ridge(alpha=0)    # SettingsError: alpha=0: expected a number > 0

`anirec validate` reads the annotations from the source code and applies the same checks, `problems`.
"""

import functools
import inspect
import operator
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Interval, Le, Lt, MaxLen, MinLen, MultipleOf

from anirec.errors import UserError


@dataclass(frozen=True)
class SumsTo:
    """Mark of an annotation: the values of a mapping have this sum."""

    total: float


Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, lt=1)]
PositiveShare = Annotated[float, Interval(gt=0, lt=1)]
PositiveInt = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(0)]
Seed = Annotated[int, Interval(ge=0, le=4294967295)]  # the range that NumPy, PyTorch and Lightning all accept

TOLERANCE = 1e-6  # of sums

PLAIN: dict[Any, tuple[type, ...]] = {
    int: (int,),
    float: (int, float),
    bool: (bool,),
    str: (str,),
    NoneType: (NoneType,),
}
RANGES: dict[type, tuple[Callable[[Any, Any], bool], str]] = {
    Gt: (operator.gt, ">"),
    Ge: (operator.ge, ">="),
    Lt: (operator.lt, "<"),
    Le: (operator.le, "<="),
    MinLen: (operator.ge, ">="),
    MaxLen: (operator.le, "<="),
    MultipleOf: (lambda value, unit: value % unit == 0, "divisible by"),
}


class SettingsError(UserError):
    """Invalid constructor arguments; the attribute `problems` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Configurable:
    """Base class of objects made from a config: the constructor checks keyword arguments against its annotations.

    Only plain values (numbers, text, lists, mappings, None) are checked, not objects such as branches or tensors.

    Attributes:
        constraints: `module:function` of a function that takes the keyword arguments of this class's constructor, as a
            mapping, and yields what is wrong with their combination, as `name=value: …`. `anirec validate` calls it
            too, with config nodes instead of objects, so its module must not import heavy libraries.

    Raises:
        SettingsError: An argument has the wrong type or is out of its range, or arguments contradict each other.
    """

    constraints: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = checking(cls.__init__, vars(cls).get("constraints", ""))  # type: ignore[method-assign]


def contradictions(constraints: str, settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a combination of settings; see `Configurable.constraints`."""
    return list(pkgutil.resolve_name(constraints)(settings))


def checking(init: Callable[..., None], constraints: str) -> Callable[..., None]:
    """Return a constructor that checks its keyword arguments before it runs."""
    hints: dict[str, Any] = {}
    parameters = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: Any, *arguments: Any, **settings: Any) -> None:
        if not hints:
            with suppress(NameError):  # imported for type checkers only
                hints.update(inspect.get_annotations(init, eval_str=True))
        found = [p for name, value in settings.items() for p in problems(name, value, hints.get(name, Any))]
        if constraints and not found:
            parameters.bind(self, *arguments, **settings)  # raises TypeError if an argument is missing
            found = contradictions(constraints, settings)
        if found:
            raise SettingsError(found)
        init(self, *arguments, **settings)

    return checked


def problems(name: str, value: Any, hint: Any) -> Iterator[str]:
    """Yield what is wrong with a plain value according to its annotation; nothing if it is valid or not checked.

    >>> list(problems("reg", 0, Positive)), list(problems("reg", "a", Positive)), list(problems("reg", 1, Positive))
    (['reg=0: expected a number > 0'], ["reg='a': expected float, not str"], [])
    >>> list(problems("hidden", [8, 0], list[PositiveInt] | None))
    ['hidden[1]=0: expected a number >= 1']
    """
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if isinstance(value, float) and not isfinite(value):
        yield f"{name}={value}: expected a finite number"
    elif not isinstance(value, bool | int | float | str | NoneType | list | tuple | dict) or kind is Any:
        return
    elif kind is Annotated:
        found = list(problems(name, value, arguments[0]))
        if not found and (wanted := describe_range(value, arguments[1:])):
            found = [f"{name}={value!r}: expected {wanted}"]
        yield from found
    elif kind in (Union, UnionType):
        yield from problems_of_union(name, value, hint)
    elif kind is Literal:
        if isinstance(value, dict) and "_target_" in value:
            return  # a node of a config
        if (type(value), value) not in [(type(choice), choice) for choice in arguments]:
            yield f"{name}={value!r}: expected {describe_type(hint)}"
    elif not is_kind(value, kind):
        yield f"{name}={value!r}: expected {describe_type(hint)}, not {type(value).__name__}"
    elif isinstance(value, dict) and arguments and "_target_" not in value:
        for key, item in value.items():
            yield from (f"{name}.{key}: {p.partition(': ')[2]}" for p in problems("", key, arguments[0]))
            yield from problems(f"{name}.{key}", item, arguments[1])
    elif isinstance(value, list | tuple) and arguments and kind is not tuple:
        yield from (p for index, item in enumerate(value) for p in problems(f"{name}[{index}]", item, arguments[0]))


def problems_of_union(name: str, value: Any, hint: Any) -> Iterator[str]:
    """Yield what is wrong with a value that must have one of several types: by the type that it has, if it has one."""
    members = get_args(hint)
    tries = [(list(problems(name, value, member)), member) for member in members]
    if all(found for found, _ in tries):
        is_choice = any(get_origin(member) is Literal for member in members)
        wrong = f"{name}={value!r}: expected {describe_type(hint)}" + f", not {type(value).__name__}" * (not is_choice)
        yield from next((found for found, member in tries if is_kind(value, member)), [wrong])


def is_kind(value: Any, hint: Any) -> bool:
    """Return whether a plain value has the type of an annotation, whatever its range.

    >>> is_kind(3, float), is_kind(True, int), is_kind([], Sequence[str]), is_kind("a", list[str])
    (True, False, True, False)
    """
    kind = get_origin(hint) or hint
    if kind is Literal:
        return False
    if kind is Annotated:
        return is_kind(value, get_args(hint)[0])
    if kind in PLAIN:
        return isinstance(value, PLAIN[kind]) and (not isinstance(value, bool) or kind is bool)
    if not isinstance(kind, type) or (isinstance(value, dict) and "_target_" in value):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, dict)
    return isinstance(value, list | tuple) or not issubclass(kind, Collection)


def describe_range(value: Any, marks: Sequence[Any]) -> str:
    """Return the ranges of an annotation in words if the value is outside one of them, else an empty string.

    >>> describe_range(1, [Interval(ge=0, lt=1)]), describe_range([], [MinLen(1)]), describe_range(1, [Gt(0)])
    ('a number >= 0 and < 1', 'a list of length >= 1', '')
    """
    single: list[Any] = [m for mark in marks for m in (mark if isinstance(mark, GroupedMetadata) else [mark])]
    for mark in single:
        if isinstance(mark, SumsTo) and abs(sum(value.values()) - mark.total) > TOLERANCE:
            return f"values that sum to {mark.total}, not {sum(value.values()):g}"
    ranges = [(*RANGES[type(m)], getattr(m, fields(m)[0].name)) for m in single if type(m) in RANGES]
    size = len(value) if isinstance(value, list | tuple | dict) else value
    if all(holds(size, limit) for holds, _, limit in ranges):
        return ""
    what = "a number" if size is value else "a list of length"
    return f"{what} {' and '.join(f'{sign} {limit}' for _, sign, limit in ranges)}"


def describe_type(hint: Any) -> str:
    """Return the type of an annotation in words, without its ranges.

    >>> describe_type(PositiveInt | None), describe_type(Literal["a", False]), describe_type(Mapping[str, list[int]])
    ('int | None', 'one of a, False', 'Mapping')
    >>> describe_type(Literal[16] | Literal["16", "bf16"] | None)
    'one of 16, bf16 | None'
    """
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        return describe_type(arguments[0])
    if kind in (Union, UnionType):
        choices = [choice for member in arguments if get_origin(member) is Literal for choice in get_args(member)]
        one_of = [f"one of {', '.join(dict.fromkeys(map(str, choices)))}"] if choices else []
        return " | ".join(
            [*one_of, *(describe_type(member) for member in arguments if get_origin(member) is not Literal)]
        )
    if kind is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    return "None" if kind is NoneType else getattr(kind, "__name__", str(kind))
