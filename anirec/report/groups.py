"""Groups of runs: runs that differ only in seed and fold form a group, groups on the same data and split a family."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anirec.report.formatting import Settings, brief, describe_settings, differing_keys
from anirec.report.runs import Run

# These settings change the meaning of the metrics, so they are shown wherever runs differ in them.
PROTOCOL_KEYS = frozenset({"metrics.relevant_from", "metrics.max_users", "metrics.candidates"})
# These only select what is computed, so they are shown only if two groups differ in nothing else.
REPORTING_KEYS = frozenset(f"metrics.{key}" for key in ("names", "segments", "block", "bands", "interval"))


@dataclass
class Group:
    """Runs of one configuration, which differ only in seed and fold.

    Attributes:
        members: The newest run of each seed and fold.
        settings: Their configuration as flat keys, such as `model.n_factors` to 20.
        differences: Settings that distinguish this group from others of the same model, such as `n_factors=20`.
        repeats: Older runs with the same seed and fold as a member; not counted.
    """

    members: list[Run]
    settings: Settings
    differences: list[str] = field(default_factory=list)
    repeats: list[Run] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.members[0].model

    @property
    def label(self) -> str:
        return " ".join([self.model, *self.differences])


@dataclass
class Family:
    """Groups that may be ranked together: same data and same split (any of its folds)."""

    title: str
    groups: list[Group]

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.members]


def families(runs: Iterable[Run]) -> list[Family]:
    """Sort finished runs into families and groups."""
    by_family: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_family[str(run.split["family"])].append(run)
    titles = family_titles(by_family)
    return [Family(titles[family], group_runs(members)) for family, members in by_family.items()]


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Return the groups of one family, with distinct labels."""
    by_experiment: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_experiment[f"{run.model} {run.experiment}"].append(run)
    found = [group_of(members) for members in by_experiment.values()]
    judged = sorted(PROTOCOL_KEYS.intersection(differing_keys([group.settings for group in found])))
    for model in dict.fromkeys(group.model for group in found):
        set_differences([group for group in found if group.model == model], judged)
    number_namesakes(found)
    return found


def set_differences(alike: list[Group], judged: Iterable[str]) -> None:
    """Set the differences of all groups of one model: settings of the model first."""
    different = dict.fromkeys([*visibly_differing_keys([group.settings for group in alike]), *judged])
    keys = drop_redundant_keys(sorted(different, key=lambda key: not key.startswith("model.")), alike)
    telling = [key for key in keys if key not in REPORTING_KEYS]
    if len({str([group.settings.get(key) for key in telling]) for group in alike}) == len(alike):
        keys = telling
    for group in alike:
        group.differences = describe_settings(group.settings, keys)


def number_namesakes(found: list[Group]) -> None:
    """Number groups with equal labels, which differ only in cut-off values, by the age of their oldest run."""
    by_label: dict[str, list[Group]] = defaultdict(list)
    for group in found:
        by_label[group.label].append(group)
    for namesakes in by_label.values():
        for number, group in enumerate(sorted(namesakes, key=oldest), start=1):
            if len(namesakes) > 1:
                group.differences = [*group.differences, f"#{number}"]


def oldest(group: Group) -> tuple[str, str]:
    return min((run.folder.name, str(run.folder)) for run in [*group.members, *group.repeats])


def unlike_splits(groups: Iterable[Group]) -> str:
    """Return a warning if rows average different splits; else an empty string."""
    if len({frozenset(run.split_replicate for run in group.members) for group in groups}) < 2:
        return ""
    return "not all rows average the same splits (split seeds or folds), so their means are not strictly comparable."


def drop_redundant_keys(keys: list[str], alike: list[Group]) -> list[str]:
    """Drop keys whose values repeat those of an earlier key: YAML lets one setting refer to another."""
    values = [[group.settings.get(key) for group in alike] for key in keys]
    return [key for place, key in enumerate(keys) if values[place] not in values[:place]]


def group_of(runs: list[Run]) -> Group:
    """Make a group of the newest run of each seed and fold; folder names begin with the time of the run."""
    newest = {run.replicate: run for run in sorted(runs, key=lambda run: run.folder.name)}
    members = sorted(newest.values(), key=lambda run: str(run.replicate))
    return Group(members, runs[0].settings, repeats=[run for run in runs if run not in members])


def family_titles(by_family: dict[str, list[Run]]) -> dict[str, str]:
    """Return dataset and split of each family, with the settings that distinguish families of the same name."""
    plain = {family: f"{runs[0].dataset}, {runs[0].split_name} split" for family, runs in by_family.items()}
    settings = {family: data_settings(runs[0]) for family, runs in by_family.items()}
    titles = {}
    for family, title in plain.items():
        namesakes = [settings[other] for other in plain if plain[other] == title]
        # Settings of one kind of dataset alone follow from its kind.
        shared = set.intersection(*map(set, namesakes))
        differences = describe_settings(
            settings[family], sorted(shared.intersection(visibly_differing_keys(namesakes)))
        )
        # Families with equal settings differ in the content of the data.
        distinct = differences or ([f"family {family[:8]}"] if len(namesakes) > 1 else [])
        titles[family] = f"{title} ({', '.join(distinct)})" if distinct else title
    return titles


def visibly_differing_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the keys whose values look different in a label."""
    return [
        key for key in differing_keys(settings) if len({brief(one[key]) if key in one else "" for one in settings}) > 1
    ]


def data_settings(run: Run) -> Settings:
    return {key: value for key, value in run.settings.items() if key.startswith(("dataset.", "split."))}
