"""Which runs belong together: seeds and folds of one configuration in a group, groups on equal data in a family."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anirec.report.formatting import Settings, brief, described, differing
from anirec.report.runs import Run

# These change what the figures of a run mean, so that they are told wherever runs differ in them;
JUDGED = frozenset({"metrics.relevant_from", "metrics.max_users", "metrics.candidates"})
# these only which figures there are, so that they are told where nothing else tells two groups apart.
MEASURED = frozenset(f"metrics.{key}" for key in ("names", "segments", "block", "bands", "interval"))


@dataclass
class Group:
    """Runs that differ in seed and fold alone.

    Attributes:
        members: The runs, newest of each seed and fold.
        settings: Their configuration, flat: `model.n_factors` to 20.
        differences: The part of it that tells this group from others of the same model: `n_factors=20`.
        repeats: Older runs with the seed and fold of a member; not counted twice.
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
    """Groups that may be ranked together: same data, same split (any of its folds)."""

    title: str
    groups: list[Group]

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups for run in group.members]


def families(runs: Iterable[Run]) -> list[Family]:
    """Finished runs, sorted into families and groups."""
    by_family: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_family[str(run.split["family"])].append(run)
    titles = family_titles(by_family)
    return [Family(titles[family], groups(members)) for family, members in by_family.items()]


def groups(runs: Iterable[Run]) -> list[Group]:
    """The groups of one family, labelled so that no two look alike."""
    by_experiment: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_experiment[f"{run.model} {run.experiment}"].append(run)
    found = [group_of(members) for members in by_experiment.values()]
    judged = sorted(JUDGED.intersection(differing([group.settings for group in found])))
    for model in dict.fromkeys(group.model for group in found):
        label([group for group in found if group.model == model], judged)
    number_namesakes(found)
    return found


def label(alike: list[Group], judged: Iterable[str]) -> None:
    """Set the differences of all groups of one model: its own settings first."""
    different = dict.fromkeys([*visibly_differing([group.settings for group in alike]), *judged])
    keys = without_echoes(sorted(different, key=lambda key: not key.startswith("model.")), alike)
    telling = [key for key in keys if key not in MEASURED]
    if len({str([group.settings.get(key) for key in telling]) for group in alike}) == len(alike):
        keys = telling
    for group in alike:
        group.differences = described(group.settings, keys)


def number_namesakes(found: list[Group]) -> None:
    """Long values are cut: number the groups that differ only in what is not shown, by their oldest run."""
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
    """A warning where means are of other splits than those beside them; else empty."""
    if len({frozenset(run.split_replicate for run in group.members) for group in groups}) < 2:
        return ""
    return "not all rows average the same splits (split seeds or folds): rank them with care."


def without_echoes(keys: list[str], alike: list[Group]) -> list[str]:
    """Leave out a setting that another one before it says already: YAML lets one take its value from the other."""
    values = [[group.settings.get(key) for group in alike] for key in keys]
    return [key for place, key in enumerate(keys) if values[place] not in values[:place]]


def group_of(runs: list[Run]) -> Group:
    """Folder names begin with the time of the run: the last one of a seed and fold is the newest."""
    newest = {run.replicate: run for run in sorted(runs, key=lambda run: run.folder.name)}
    members = sorted(newest.values(), key=lambda run: str(run.replicate))
    return Group(members, runs[0].settings, repeats=[run for run in runs if run not in members])


def family_titles(by_family: dict[str, list[Run]]) -> dict[str, str]:
    """Dataset and split of each family, with what tells it from others of the same names."""
    plain = {family: f"{runs[0].dataset}, {runs[0].split_name} split" for family, runs in by_family.items()}
    settings = {family: data_settings(runs[0]) for family, runs in by_family.items()}
    titles = {}
    for family, title in plain.items():
        namesakes = [settings[other] for other in plain if plain[other] == title]
        # What only one kind of dataset has follows from its kind.
        shared = set.intersection(*map(set, namesakes))
        differences = described(settings[family], sorted(shared.intersection(visibly_differing(namesakes))))
        # Equal settings of unequal families: the dump itself is another one.
        distinct = differences or ([f"family {family[:8]}"] if len(namesakes) > 1 else [])
        titles[family] = f"{title} ({', '.join(distinct)})" if distinct else title
    return titles


def visibly_differing(settings: Sequence[Settings]) -> list[str]:
    """Keys whose values look different in a label."""
    return [key for key in differing(settings) if len({brief(one[key]) if key in one else "" for one in settings}) > 1]


def data_settings(run: Run) -> Settings:
    return {key: value for key, value in run.settings.items() if key.startswith(("dataset.", "split."))}
