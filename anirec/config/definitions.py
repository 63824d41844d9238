"""Definitions of classes and functions, found in their source files by griffe without importing them.

Modules are parsed one by one, when a name leads to them: griffe's own loader would read whole packages. Names are
followed through imports and base classes. `UnreadableSourceError` is raised where the source does not give the answer.
"""

import importlib.util
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from griffe import Alias, Attribute, Class, ExprAttribute, ExprName, ExprSubscript, Function, Module, visit
from griffe import c3linear_merge as merged

# Packages whose classes are not followed as bases: they declare nothing that a config is checked against.
OPAQUE = frozenset({"torch", "pytorch_lightning", "lightning"})
IGNORED = frozenset({"object", "abc.ABC", "typing.Generic", "typing.Protocol"})


class UnknownTargetError(LookupError):
    """The module or name does not exist."""


class UnreadableSourceError(Exception):
    """The source does not give the answer; importing the module does."""


def find_definition(target: str) -> Class | Function | Attribute:
    """Find the definition of a dotted name, following imports."""
    module, _, name = target.rpartition(".")
    if not module:
        raise UnknownTargetError(f"{target} is not a dotted path such as anirec.models.ratings.popularity.Popularity")
    found = parse_module(module).members.get(name)
    if isinstance(found, Alias):
        return find_definition(found.target_path)
    if not isinstance(found, Class | Function | Attribute):
        raise UnreadableSourceError(target)
    return found


def lineage(found: Class) -> list[Class]:
    """Return a class and its bases in method resolution order, without bases that are not followed."""
    bases = [base for base in bases_of(found) if base]
    return [found, *merged(*map(lineage, bases), bases)]


def bases_of(found: Class) -> list[Class | None]:
    """Return the definitions of the direct bases; None for one that is not followed."""
    bases: list[Class | None] = []
    for base in found.bases:
        path = base.canonical_path if isinstance(base, ExprName | ExprAttribute | ExprSubscript) else ""
        if path in IGNORED:
            continue
        try:
            definition = None if path.partition(".")[0] in {*OPAQUE, path} else find_definition(path)
        except UnreadableSourceError:
            definition = None
        bases.append(definition if isinstance(definition, Class) else None)
    return bases


def has_known_bases(found: Class) -> bool:
    """Whether all direct and indirect bases were followed."""
    return all(base for definition in lineage(found) for base in bases_of(definition))


def inherits(target: str, ancestor: str) -> bool:
    """Whether the class `target` is or inherits `ancestor`, as far as its source shows.

    >>> inherits("anirec.models.ratings.popularity.Popularity", "anirec.models.base.Model")
    True
    >>> inherits("os.system", "anirec.models.base.Model")
    False
    """
    try:
        found = find_definition(target)
        return isinstance(found, Class) and ancestor in [definition.path for definition in lineage(found)]
    except (UnreadableSourceError, UnknownTargetError):
        return False


@lru_cache(maxsize=256)
def parse_module(module: str) -> Module:
    """Parse a module with griffe. Its parent packages only give it a name and are not read."""
    origin = module_spec(module).origin
    if origin is None or not origin.endswith(".py"):
        raise UnreadableSourceError(module)
    package, _, name = module.rpartition(".")
    return visit(name, Path(origin), Path(origin).read_text(encoding="utf-8"), parent=package_stub(package))


def package_stub(package: str) -> Module | None:
    """Return an empty module with the name of a package and its parents."""
    parent, _, name = package.rpartition(".")
    return Module(name, filepath=Path("__init__.py"), parent=package_stub(parent)) if package else None


@lru_cache(maxsize=256)
def module_spec(module: str) -> ModuleSpec:
    """Return the import spec of a module without importing its parent packages."""
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
