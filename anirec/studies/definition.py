"""Published studies as data: each is a folder with a `study.yaml`, and what it published in `published.csv`.

question: Who will love it?
source: A. Author, A report, 2025
parts:
  ratings:
    question: How well are held-out ratings predicted?
    metric: test/rmse                      # to sort by
    size: {ratings: 19125485}              # of the published data: ratings, titles or posts
    least: 100000                          # fewer of real data are not worth a run
    data:                                  # the study's own first, generated data last: the first that is here counts
      mal_2018:
      mal_2016: {overrides: trainer=cpu, commands: [model=surprise_svdpp]}   # for this dataset alone
      demo_ratings:
    overrides: split=k_fold split.fold=0,1,2,3,4   # of all commands
    commands: [model=bias, model=svd model.n_factors=100]   # of anirec run -m
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from anirec.config.compose import did_you_mean
from anirec.errors import UserError

FILE = "study.yaml"
UNITS = ("ratings", "titles", "posts")


@dataclass(frozen=True, kw_only=True)
class DatasetChoice:
    """One dataset that a part can run on, with what is for it alone."""

    dataset: str
    overrides: str = ""
    commands: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question of a study, and the commands that answer it.

    Args:
        name: Its key.
        question: One line.
        metric: What its runs are sorted by.
        size: Number of ratings, titles or posts in the published data.
        least: How many of them real data must have.
        data: The study's own dataset first.
        overrides: Of all commands.
        commands: Overrides of `anirec run -m`, as typed.
    """

    name: str
    question: str
    metric: str
    size: dict[str, int]
    data: list[DatasetChoice]
    commands: list[str]
    overrides: str = ""
    least: int = 0

    @property
    def unit(self) -> str:
        return next(iter(self.size))

    @property
    def published(self) -> int:
        return self.size[self.unit]

    def typed(self, choice: DatasetChoice) -> list[list[str]]:
        """The overrides of each command on that dataset."""
        shared = f"dataset={choice.dataset} {self.overrides} {choice.overrides}"
        return [keep_last(shlex.split(f"{shared} {one}")) for one in [*self.commands, *choice.commands]]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A published study, as its folder tells it."""

    folder: Path
    question: str
    source: str
    parts: list[Part]

    @property
    def name(self) -> str:
        return self.folder.name


def keep_last(overrides: Iterable[str]) -> list[str]:
    """Of overrides of one key the last, in the place of the first.

    >>> keep_last(["split=random", "seed=1", "split=k_fold"])
    ['split=k_fold', 'seed=1']
    """
    return list({override.partition("=")[0]: override for override in overrides}.values())


def studies_folder() -> Path:
    """Where the studies lie: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parents[1] / "experiments"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "experiments"


def study_names() -> list[str]:
    return sorted(path.parent.name for path in studies_folder().glob(f"*/{FILE}"))


def read_study(name: str) -> Study:
    """
    Args:
        name: One of `study_names`, or the path of a folder that holds a study.yaml.

    Raises:
        UserError: There is no such study, or its file is not as shown above.
    """
    folder = next((path for path in (studies_folder() / name, Path(name)) if (path / FILE).is_file()), None)
    if folder is None:
        names = study_names()
        raise UserError(f"{name}: no such study{did_you_mean(name, names)} There are: {', '.join(names)}")
    file = folder.resolve() / FILE
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is no YAML: {error}") from None
    told = check_fields(content, Study, str(file), given=("folder",))
    parts = [
        read_part(name, values, str(file))
        for name, values in check_mapping(told.pop("parts"), f"{file}: parts").items()
    ]
    return Study(folder=file.parent, **told, parts=parts)


def read_part(name: str, values: Any, file: str) -> Part:
    """Of the mapping under its name."""
    where = f"{file}: parts.{name}"
    told = check_fields(values, Part, where, given=("name",))
    if len(check_mapping(told["size"], f"{where}.size")) != 1 or next(iter(told["size"])) not in UNITS:
        raise UserError(f"{where}.size is {told['size']}: expected the number of one of {', '.join(UNITS)}.")
    data = [
        DatasetChoice(
            dataset=dataset, **check_fields(of_it or {}, DatasetChoice, f"{where}.data.{dataset}", given=("dataset",))
        )
        for dataset, of_it in check_mapping(told.pop("data"), f"{where}.data").items()
    ]
    return Part(name=name, **told, data=data)


def check_fields(
    values: Any, kind: type[Study | Part | DatasetChoice], where: str, *, given: tuple[str, ...]
) -> dict[str, Any]:
    """The mapping, if its keys are the fields of that dataclass, apart from those that are given."""
    values = check_mapping(values, where, may_be_empty=True)
    known = [one for one in fields(kind) if one.name not in given]
    names = [one.name for one in known]
    if unknown := [str(key) for key in values if key not in names]:
        raise UserError(f"{where}: there is no key {unknown[0]}{did_you_mean(unknown[0], names)}")
    required = [one.name for one in known if one.default is MISSING and one.default_factory is MISSING]
    if lacking := [name for name in required if name not in values]:
        raise UserError(f"{where} lacks {', '.join(lacking)}.")
    return dict(values)


def check_mapping(values: Any, where: str, *, may_be_empty: bool = False) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or not (values or may_be_empty):
        raise UserError(f"{where} is {values!r}: expected keys and values.")
    return values
