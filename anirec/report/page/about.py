"""Where the figures come from: each group's config, runs and command; data, splits, code and versions of a family."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from anirec.report.formatting import brief, differing
from anirec.report.groups import Family, Group
from anirec.report.leaderboard import Leaderboard
from anirec.report.runs import Run, nested


@dataclass(frozen=True)
class Account:
    """One group.

    Attributes:
        label: As in the table.
        differences: Key, the best group's value, this group's value; empty for the best one.
        seeds: Seeds, and folds where there are any.
        folders: Of its runs.
        commands: Make them again; one where a sweep does.
    """

    label: str
    differences: list[tuple[str, str, str]]
    seeds: str
    folders: list[str]
    commands: list[str]


@dataclass(frozen=True)
class Facts:
    """One fact of a family, and whether its runs disagree about it."""

    name: str
    values: list[str]
    is_mixed: bool


def accounts(board: Leaderboard) -> list[Account]:
    best = board.rows[0].group
    return [account(row.group, best) for row in board.rows]


def account(group: Group, best: Group) -> Account:
    pair = [best.settings, group.settings]
    keys = sorted(differing(pair), key=lambda key: (not key.startswith("model."), key))
    first, second = ([brief(one[key]) if key in one else "-" for key in keys] for one in pair)
    differences = list(zip(keys, first, second, strict=True))
    seeds = listed(run.provenance["seed"] for run in group.members)
    folds = listed(run.split_replicate or None for run in group.members)
    kept = f"seed {seeds}" + (f", split {folds}" if folds else "")
    return Account(group.label, differences, kept, [str(run.folder) for run in group.members], commands(group.members))


def commands(members: list[Run]) -> list[str]:
    """One that makes them all, where they set the same keys and one key alone differs; else one for each."""
    set_by = [dict(map(key_and_value, overrides(member))) for member in members]
    keys = list(set_by[0])
    differ = [key for key in keys if len({str(one.get(key)) for one in set_by}) > 1]
    if all(list(one) == keys for one in set_by) and len(differ) <= 1:
        values = {key: ",".join(dict.fromkeys(one[key] for one in set_by)) for key in keys}
        return [command(values, is_sweep=bool(differ))]
    return [command(one, is_sweep=False) for one in set_by]


def overrides(run: Run) -> list[str]:
    """As they were given; runs that were not started by `anirec run` have none."""
    given = run.provenance.get("overrides")
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []


def key_and_value(override: str) -> tuple[str, str]:
    """The key with its sign; what takes a key away has none, and no value.

    >>> key_and_value("model=svd"), key_and_value("~callbacks.progress_bar")
    (('model=', 'svd'), ('~callbacks.progress_bar', ''))
    """
    key, sign, value = override.partition("=")
    return key + sign, value


def command(values: dict[str, str], *, is_sweep: bool) -> str:
    """
    >>> command({"model=": "svd", "model.layers=": "[8, 4]", "~callbacks.swa": ""}, is_sweep=False)
    "anirec run model=svd 'model.layers=[8, 4]' '~callbacks.swa'"
    """
    given = (shlex.quote(key + value) for key, value in values.items())
    return " ".join(["anirec run", *(["-m"] if is_sweep else []), *given])


def facts(family: Family) -> list[Facts]:
    """What all runs should agree in, and whether they do; splits differ in as many folds as there are."""
    runs = family.runs
    versions = dict.fromkeys(name for run in runs for name in run.provenance.get("versions") or {})
    found = [
        fact("data", runs, "data.fingerprint"),
        fact("split family", runs, "split.family"),
        fact("split", runs, "split.fingerprint", expects_several=True),
        Facts("rows", distinct(map(sizes, runs)), is_mixed=False),
        Facts("code", codes := distinct(map(code, runs)), len(codes) > 1),
        *(fact(name, runs, "versions", name) for name in versions),
    ]
    return [one for one in found if one.values]


def fact(name: str, runs: Iterable[Run], key: str, leaf: str = "", *, expects_several: bool = False) -> Facts:
    found = (nested(run.provenance, key) for run in runs)
    values = distinct((one or {}).get(leaf) if leaf else one for one in found)
    return Facts(name, values, len(values) > 1 and not expects_several)


def sizes(run: Run) -> str | None:
    """`1,050 train, 150 val, 300 test`."""
    sizes = {name.removeprefix("n_"): n for name, n in run.split.items() if name.startswith("n_") and n is not None}
    return ", ".join(f"{n:,} {name}" for name, n in sizes.items()) or None


def code(run: Run) -> str | None:
    """The commit's first letters, and whether files had changed since."""
    commit = nested(run.provenance, "git.commit")
    changed = " with changes" if nested(run.provenance, "git.dirty") else ""
    return f"{str(commit)[:10]}{changed}" if commit else None


def distinct(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(values) if value is not None]


def listed(values: Iterable[Any]) -> str:
    return ", ".join(distinct(values))
