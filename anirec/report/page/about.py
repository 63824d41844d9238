"""Provenance on the page: settings, runs and commands of each group; data, split, code and versions of a family."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from anirec.metrics.names import MetricName
from anirec.report import formatting as cells
from anirec.report.formatting import brief, differing_keys
from anirec.report.groups import Family, Group
from anirec.report.leaderboard import Leaderboard, Row
from anirec.report.runs import Run, nested


@dataclass(frozen=True)
class GroupDetails:
    """Settings and commands of one group.

    Attributes:
        label: As in the table.
        differences: Key, the best group's value, this group's value; empty for the best group.
        seeds: Seeds, and folds if there are any.
        metrics: Name and mean of each metric, with ± the standard deviation, without segments.
        folders: Folders of its runs.
        commands: Commands that reproduce the runs, a single one if one sweep does.
    """

    label: str
    differences: list[tuple[str, str, str]]
    seeds: str
    metrics: list[tuple[str, str]]
    folders: list[str]
    commands: list[str]


@dataclass(frozen=True)
class Fact:
    """One property of a family's runs, and whether the runs disagree about it."""

    name: str
    values: list[str]
    is_mixed: bool


def all_details(board: Leaderboard) -> list[GroupDetails]:
    """Return the details of all groups of a leaderboard."""
    best = board.rows[0].group
    return [details_of(row, best) for row in board.rows]


def details_of(row: Row, best: Group) -> GroupDetails:
    group = row.group
    pair = [best.settings, group.settings]
    keys = sorted(differing_keys(pair), key=lambda key: (not key.startswith("model."), key))
    first, second = ([brief(one[key]) if key in one else "-" for key in keys] for one in pair)
    differences = list(zip(keys, first, second, strict=True))
    seeds = join_distinct(run.provenance["seed"] for run in group.members)
    folds = join_distinct(run.split_replicate or None for run in group.members)
    kept = f"seed {seeds}" + (f"; split {folds}" if folds else "")
    metrics = [
        (name, cells.spread(mean, row.std.get(name), cells.decimals([mean])))
        for name, mean in row.mean.items()
        if (parsed := MetricName.parse(name)).is_metric and not parsed.segment
    ]
    return GroupDetails(
        group.label, differences, kept, metrics, [str(run.folder) for run in group.members], commands(group.members)
    )


def commands(members: list[Run]) -> list[str]:
    """Return one command for all runs if they set the same keys and at most one key varies; else one per run."""
    set_by = [dict(map(key_and_value, overrides(member))) for member in members]
    keys = list(set_by[0])
    differ = [key for key in keys if len({str(one.get(key)) for one in set_by}) > 1]
    if all(list(one) == keys for one in set_by) and len(differ) <= 1:
        values = {key: ",".join(dict.fromkeys(one[key] for one in set_by)) for key in keys}
        return [command(values, is_sweep=bool(differ))]
    return [command(one, is_sweep=False) for one in set_by]


def overrides(run: Run) -> list[str]:
    """Return the overrides as given; runs not started by `anirec run` have none."""
    given = run.provenance.get("overrides")
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []


def key_and_value(override: str) -> tuple[str, str]:
    """Split an override into its key with sign, and its value; the removal of a key has neither sign nor value.

    >>> key_and_value("model=svd"), key_and_value("~callbacks.progress_bar")
    (('model=', 'svd'), ('~callbacks.progress_bar', ''))
    """
    key, sign, value = override.partition("=")
    return key + sign, value


def command(values: dict[str, str], *, is_sweep: bool) -> str:
    """Return the command line with these overrides.

    >>> command({"model=": "svd", "model.layers=": "[8, 4]", "~callbacks.swa": ""}, is_sweep=False)
    "anirec run model=svd 'model.layers=[8, 4]' '~callbacks.swa'"
    """
    given = (shlex.quote(key + value) for key, value in values.items())
    return " ".join(["anirec run", *(["-m"] if is_sweep else []), *given])


def provenance_facts(family: Family) -> list[Fact]:
    """Return what all runs should agree on, and whether they do; split fingerprints may differ between folds."""
    runs = family.runs
    versions = dict.fromkeys(name for run in runs for name in run.provenance.get("versions") or {})
    found = [
        fact("data", runs, "data.fingerprint"),
        fact("split family", runs, "split.family"),
        fact("split", runs, "split.fingerprint", expects_several=True),
        Fact("rows", distinct_texts(map(part_sizes, runs)), is_mixed=False),
        Fact("code", codes := distinct_texts(map(code_version, runs)), len(codes) > 1),
        *(fact(name, runs, "versions", name) for name in versions),
    ]
    return [one for one in found if one.values]


def fact(name: str, runs: Iterable[Run], key: str, leaf: str = "", *, expects_several: bool = False) -> Fact:
    found = (nested(run.provenance, key) for run in runs)
    values = distinct_texts((one or {}).get(leaf) if leaf else one for one in found)
    return Fact(name, values, len(values) > 1 and not expects_several)


def part_sizes(run: Run) -> str | None:
    """Return the sizes of a run's split, such as `1,050 train, 150 val, 300 test`."""
    sizes = {name.removeprefix("n_"): n for name, n in run.split.items() if name.startswith("n_") and n is not None}
    return ", ".join(f"{n:,} {name}" for name, n in sizes.items()) or None


def code_version(run: Run) -> str | None:
    """Return the abbreviated commit, and whether there were uncommitted changes."""
    commit = nested(run.provenance, "git.commit")
    changed = " with uncommitted changes" if nested(run.provenance, "git.dirty") else ""
    return f"{str(commit)[:10]}{changed}" if commit else None


def distinct_texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(values) if value is not None]


def join_distinct(values: Iterable[Any]) -> str:
    return ", ".join(distinct_texts(values))
