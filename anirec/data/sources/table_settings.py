"""Settings of `dataset=table`: its sections, their keys and columns, and checks that need no file.

ratings: {files: ratings.csv, columns: {user_id: user, item_id: film, rating: stars}, separator: ";", decimal: ","}
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from anirec.data import schema
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.settings import problems

NAMES = list[str] | str
FORMAT: Mapping[str, Any] = {
    "files": NAMES,
    "columns": Mapping[str, Any],
    "separator": str | None,
    "decimal": str | None,
    "header": list[str] | None,
}
CELLS = list[str | float]
KEYS: Mapping[str, Mapping[str, Any]] = {
    "ratings": {
        **FORMAT,
        "unrated": CELLS,
        "planned": CELLS,
        "statuses": Mapping[str, CELLS] | None,
        "time": str | None,
    },
    "items": {**FORMAT, "lists": str | None},
    "characters": FORMAT,
}
COLUMNS: Mapping[str, Collection[str]] = {
    "ratings": (*schema.INTERACTIONS, "title"),
    "items": [name for name in schema.ITEMS if name != "published_part"],
    "characters": ("item_id", *schema.CHARACTERS, "role"),
}
REQUIRED = {"ratings": ("user_id", "item_id"), "items": ("item_id",), "characters": ("item_id",)}
IDS = ("user_id", "item_id", "character_id")
TEXT, WHOLE = "text", "whole"
STATUSES = ("watching", "completed", "on_hold", "dropped", "plan_to_watch")
NOT_NAMES = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")  # what YAML or Hydra read otherwise
SHOWN_NAMES = ("title", "name")  # may be shown from a column of ids
TIMES = ("s", "ms", "us", "iso")
DECIMALS = (".", ",")


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a dataset; "" if nothing.

    >>> name_problem("my_stars"), name_problem("nan")[:8], name_problem("e e")[:8]
    ('', 'expected', 'expected')
    """
    if re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in NOT_NAMES:
        return ""
    return f"expected letters, digits and underscores, at first no digit; none of {', '.join(NOT_NAMES)}"


def check_table(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the settings of a table; see `anirec.settings.Configurable.constraints`."""
    if problem := name_problem(settings["name"]):
        yield f"name={settings['name']}: {problem}"
    try:
        Scale.parse(settings["scale"])
    except UserError as error:
        yield str(error)
    for name, kind in settings["ids"].items():
        if name not in IDS or kind not in (TEXT, WHOLE):
            yield f"ids.{name}={kind}: expected one of {', '.join(IDS)}, each {TEXT} or {WHOLE}"
    found = {name: settings[name] for name in KEYS if settings.get(name) is not None}
    if "ratings" not in found and "items" not in found:
        yield "ratings=null: expected a section ratings, or items for titles with scores"
    for name, section in found.items():
        yield from check_section(name, section)


def check_section(name: str, section: Mapping[str, Any]) -> Iterator[str]:
    for key, value in section.items():
        if key not in KEYS[name]:
            yield f"{name}.{key}={value}: unknown key{suggest(key, KEYS[name])}"
        yield from problems(f"{name}.{key}", value, KEYS[name].get(key, Any))
    if absent := [key for key in ("files", "columns") if not section.get(key)]:
        yield from (f"{name}.{key}: missing; see conf/dataset/table.yaml" for key in absent)
        return
    if section.get("decimal") not in (None, *DECIMALS):
        yield f"{name}.decimal={section['decimal']}: expected one of . and , or null"
    if isinstance(section["columns"], Mapping):
        yield from check_columns(name, section["columns"])
    if isinstance(time := section.get("time"), str) and time not in TIMES and "%" not in time:
        yield f"{name}.time={time}: expected one of {', '.join(TIMES)}, or a format such as %d/%m/%Y, or null"
    for status in section.get("statuses") or {}:
        if status not in STATUSES:
            yield f"{name}.statuses.{status}: expected one of {', '.join(STATUSES)}"


def check_columns(section: str, columns: Mapping[str, Any]) -> Iterator[str]:
    used = defaultdict(list)
    for ours, theirs in columns.items():
        if ours not in COLUMNS[section]:
            yield f"{section}.columns.{ours}={theirs}: unknown column{suggest(ours, COLUMNS[section])}"
        if theirs is not None and ours not in SHOWN_NAMES:
            used[theirs].append(ours)
    for theirs, names in used.items():
        if len(names) > 1:
            yield f"{section}.columns: {' and '.join(names)} name the same column, {theirs}; expected a column for each"
    for ours in REQUIRED[section]:
        if not columns.get(ours):
            yield f"{section}.columns.{ours}: missing; expected the name of a column of the file"
    if section == "characters" and not (columns.get("character_id") or columns.get("name")):
        yield "characters.columns.name: missing; expected the column of character_id or name"


def suggest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"


def mapped(settings: Mapping[str, Any], section: str) -> dict[str, str]:
    """Return the column of the file for each of our columns of a section; empty without the section."""
    columns = (settings.get(section) or {}).get("columns") or {}
    return {name: str(column) for name, column in columns.items() if column is not None}


def offered_columns(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns of the tables that these settings describe.

    >>> columns = {"user_id": "who", "item_id": "film", "rating": "stars"}
    >>> sorted(offered_columns({"ratings": {"columns": columns}}))
    ['item_id', 'rating', 'title', 'user_id']
    """
    ratings = mapped(settings, "ratings")
    found = {*ratings, *mapped(settings, "items"), "title"}  # the id where no title is known
    if (settings.get("ratings") or {}).get("planned"):
        found.add("status")
    if characters := mapped(settings, "characters"):
        found |= {*characters, "character_id"}
    return frozenset(found)
