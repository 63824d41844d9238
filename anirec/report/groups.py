"""Groups of runs: runs that differ only in seed and fold form a group.

Groups on the same data and split whose metrics have the same meaning form a family.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anirec.config.identity import PROTOCOL, configuration
from anirec.metrics.names import is_metric
from anirec.report.formatting import Settings, brief, differing_keys
from anirec.report.labels import Label, describe_settings, labels
from anirec.report.run_files import nested
from anirec.report.runs import Run


@dataclass
class Group:
    """Runs of one configuration, which differ only in seed and fold.

    Attributes:
        members: One run of each seed and fold.
        settings: Their configuration as flat keys, such as `model.n_factors` to 20.
        repeats: Other runs with the same seed and fold as a member; not counted.
        equal: Runs with another seed, but with the predictions of a member; not counted.
        short: Its name among the groups of its family.
    """

    members: list[Run]
    settings: Settings
    repeats: list[Run] = field(default_factory=list)
    equal: list[Run] = field(default_factory=list)
    short: Label = field(default=Label("", "", []))

    @property
    def model(self) -> str:
        return self.members[0].model

    @property
    def label(self) -> str:
        """Name in tables: the model with the settings that differ, or with a number if these are too long."""
        return self.short.name

    @property
    def number(self) -> str:
        """The model with a number by age, such as `svd-3`."""
        return self.short.number

    @property
    def differences(self) -> list[str]:
        """Settings that distinguish this group from others of the same model, such as `n_factors=20`."""
        return self.short.differences

    @property
    def description(self) -> str:
        """The model with the settings that differ, however long."""
        return " ".join([self.model, *self.differences])

    @property
    def n_replicates(self) -> int:
        """Number of seeds and folds, including those with equal predictions."""
        return len(self.members) + len(self.equal)

    def having(self, metric: str) -> list[Run]:
        """Return the members that computed a metric."""
        return [run for run in self.members if metric in run.metrics]


def is_numbered(group: Group) -> bool:
    """Return whether a number stands for the group's settings, so that its name needs an explanation."""
    return bool(group.differences) and group.label == group.number


@dataclass
class Family:
    """Groups that may be ranked together: same data, same split (any of its folds), same meaning of the metrics."""

    title: str
    groups: list[Group]

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.members]


def families(runs: Iterable[Run]) -> list[Family]:
    """Sort finished runs into families and groups."""
    by_split: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_split[str(run.split["family"])].append(run)
    found = [members for of_split in by_split.values() for members in by_protocol(of_split)]
    return [Family(title, group_runs(members)) for title, members in zip(family_titles(found), found, strict=True)]


def by_protocol(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of a split by the settings that change the meaning of metrics.

    A run without some of these settings, such as one that ranked nothing (`metrics=ratings_only`), fits every value of
    them; it joins the runs that have the most of these settings, and of these the most numerous.
    """
    protocols = [protocol(run) for run in runs]
    n_runs = Counter(canonical(one) for one in protocols)
    distinct = {canonical(one): one for one in protocols}
    found: dict[str, list[Run]] = defaultdict(list)
    for run, own in zip(runs, protocols, strict=True):
        fitting = (key for key, other in distinct.items() if own.items() <= other.items())
        found[max(fitting, key=lambda key: (len(distinct[key]), n_runs[key]))].append(run)
    return list(found.values())


def protocol(run: Run) -> Settings:
    """Return the settings of a run that change the meaning of its metrics."""
    return {key: run.settings[key] for key in sorted(PROTOCOL) if key in run.settings}


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Return the groups of one family, with distinct names."""
    found = sorted(map(group_of, by_configuration(runs)), key=oldest)
    named = labels([group.model for group in found], [group.settings for group in found])
    for group, label in zip(found, named, strict=True):
        group.short = label
    return found


def by_configuration(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs of each configuration, whichever metrics they computed."""
    alike: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        settings = {key: value for key, value in configuration(run.settings).items() if key not in PROTOCOL}
        alike[canonical([run.model, settings])].append(run)
    return list(alike.values())


def canonical(value: object) -> str:
    """Return a text that is equal for equal settings."""
    return json.dumps(value, sort_keys=True, default=str)


def oldest(group: Group) -> tuple[str, str]:
    return min((run.folder.name, str(run.folder)) for run in [*group.members, *group.repeats, *group.equal])


def unlike_splits(groups: Iterable[Group]) -> str:
    """Return a warning if rows average different splits; else an empty string."""
    groups = list(groups)
    if len(set(map(splits_of, groups))) < 2:
        return ""
    if share_no_split(groups):
        return "Not ranked: there is no split (split seed, fold, window) on which all rows were tested."
    return (
        "Not all rows average the same splits (split seeds or folds), so their means are not strictly comparable, and "
        "none is marked as the best."
    )


def share_no_split(groups: Iterable[Group]) -> bool:
    """Return whether there is no split that all groups have, so that their means cannot be compared at all."""
    splits = [splits_of(group) for group in groups]
    return bool(splits) and not frozenset.intersection(*splits)


def splits_of(group: Group) -> frozenset[str]:
    """Return the seeds, folds and windows of the splits of a group."""
    return frozenset(f"{run.split_replicate} {run.split.get('window', '')}" for run in group.members)


def group_of(runs: list[Run]) -> Group:
    """Make a group of the newest run of each seed and fold; folder names begin with the time of the run.

    A newer run that was not tested, or that computed fewer metrics, does not replace an older one.
    """

    def rank(run: Run) -> tuple[bool, int, str]:
        return any(name.startswith("test/") for name in run.metrics), n_requested(run), run.folder.name

    newest = {run.replicate: run for run in sorted(runs, key=rank)}
    replicates = sorted(newest.values(), key=lambda run: str(run.replicate))
    shared = [name for name in replicates[0].metrics if all(name in run.metrics for run in replicates)]
    measured = list(filter(is_metric, shared))
    distinct: dict[object, Run] = {}
    for run in replicates:
        outcome = [run.metrics[name] for name in measured] if measured else str(run.folder)
        distinct.setdefault(f"{run.split_replicate} {run.split.get('fingerprint')} {outcome}", run)
    members = list(distinct.values())
    return Group(
        members,
        max((configuration(run.settings) for run in members), key=len),
        repeats=[run for run in runs if run not in replicates],
        equal=[run for run in replicates if run not in members],
    )


def n_requested(run: Run) -> int:
    """Return the number of metrics that a run was asked to compute."""
    return len(run.settings.get("metrics.names") or [])


def family_titles(found: Sequence[Sequence[Run]]) -> list[str]:
    """Return dataset and split of each family, with the settings that distinguish families of the same name."""
    plain = [f"{runs[0].dataset}, {runs[0].split_name} split" for runs in found]
    settings = [data_settings(runs[0]) | max(map(protocol, runs), key=len) for runs in found]
    titles = []
    for title, own, runs in zip(plain, settings, found, strict=True):
        namesakes = [other for name, other in zip(plain, settings, strict=True) if name == title]
        # Settings of one kind of dataset alone follow from its kind.
        shared = set.intersection(*map(set, namesakes))
        differences = describe_settings(own, sorted(shared.intersection(visibly_differing_keys(namesakes))))
        # Families with equal settings differ in the content of the data.
        number = [f"family {str(runs[0].split['family'])[:8]}"] if len(namesakes) > 1 else []
        distinct = differences or number
        titles.append(f"{title} ({', '.join(distinct)})" if distinct else title)
    return titles


def visibly_differing_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the keys whose values look different in a label."""
    return [
        key for key in differing_keys(settings) if len({brief(one[key]) if key in one else "" for one in settings}) > 1
    ]


def data_settings(run: Run) -> Settings:
    """Return the settings of dataset and split, and the options of a generator, such as its number of users."""
    options = nested(run.provenance, "data.source.options")
    found = {key: value for key, value in run.settings.items() if key.startswith(("dataset.", "split."))}
    return found | {f"dataset.{key}": value for key, value in (options if isinstance(options, dict) else {}).items()}
