"""Definitions of published studies: each is a folder with a `study.yaml`, and its published figures in `published.csv`.

An example of a `study.yaml`:

question: Who will love it?
source: A. Author, A report, 2025
parts:
  ratings:
    question: How well are held-out ratings predicted?
    metric: test/rmse                      # metric to sort by
    size: {ratings: 19125485}              # size of the published data in ratings, titles or posts
    least: 100000                          # minimum size of a real dump; smaller ones are skipped
    scaled: {dataset.min_item_ratings: 50} # counts of the full data, reduced in proportion on less of it
    data:                                  # in order of preference: the study's own first, generated data last
      mal_2018:
      mal_2016: {overrides: trainer=cpu, commands: [model=surprise_svdpp]}   # only for this dataset
      demo_ratings:
    overrides: split=k_fold split.fold=0,1,2,3,4   # for all commands
    commands: [model=bias, model=svd model.n_factors=100]   # arguments of `anirec run -m`
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
    """A dataset that a part can run on, with overrides and commands for this dataset only."""

    dataset: str
    overrides: str = ""
    commands: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question of a study, and the commands that answer it.

    Args:
        name: Its key in the YAML.
        question: The question, in one line.
        metric: Metric to sort the runs by.
        size: Number of ratings, titles or posts in the published data.
        least: Minimum number of them in a real dump.
        scaled: Counts of ratings, titles or posts that fit the published data, by config key. On fewer rows they are
            set to the same share of them, at least 1.
        data: Datasets in order of preference; the study's own first.
        overrides: Overrides for all commands.
        commands: Arguments of `anirec run -m`, as typed.
    """

    name: str
    question: str
    metric: str
    size: dict[str, int]
    data: list[DatasetChoice]
    commands: list[str]
    overrides: str = ""
    least: int = 0
    scaled: dict[str, int] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What the size counts: ratings, titles or posts."""
        return next(iter(self.size))

    @property
    def published(self) -> int:
        """Size of the published data."""
        return self.size[self.unit]

    def scaled_settings(self, n_rows: int) -> dict[str, int]:
        """Return the settings of `scaled` for data of this size; empty for the published size or more."""
        if n_rows >= self.published:
            return {}
        return {key: max(1, round(value * n_rows / self.published)) for key, value in self.scaled.items()}

    def commands_for(self, choice: DatasetChoice, n_rows: int | None = None) -> list[list[str]]:
        """Return the overrides of each command on a dataset; `n_rows` is its size, None for generated data."""
        scaled = " ".join(f"{key}={value}" for key, value in self.scaled_settings(n_rows or self.published).items())
        shared = f"dataset={choice.dataset} {self.overrides} {scaled} {choice.overrides}"
        return [keep_last(shlex.split(f"{shared} {one}")) for one in [*self.commands, *choice.commands]]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A published study; its name is that of its folder."""

    folder: Path
    question: str
    source: str
    parts: list[Part]

    @property
    def name(self) -> str:
        return self.folder.name


def keep_last(overrides: Iterable[str]) -> list[str]:
    """Keep the last override of each key, at the position of the first.

    >>> keep_last(["split=random", "seed=1", "split=k_fold"])
    ['split=k_fold', 'seed=1']
    """
    return list({override.partition("=")[0]: override for override in overrides}.values())


def studies_folder() -> Path:
    """Return the folder of the studies: inside an installed package, next to it in a checkout."""
    inside = Path(__file__).parents[1] / "experiments"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "experiments"


def study_names() -> list[str]:
    return sorted(path.parent.name for path in studies_folder().glob(f"*/{FILE}"))


def read_study(name: str) -> Study:
    """Read the definition of a study.

    Args:
        name: One of `study_names`, or the path of a folder with a study.yaml.

    Raises:
        UserError: There is no such study, or its file is invalid.
    """
    folder = next((path for path in (studies_folder() / name, Path(name)) if (path / FILE).is_file()), None)
    if folder is None:
        names = study_names()
        raise UserError(f"{name}: no such study{did_you_mean(name, names)} Studies: {', '.join(names)}")
    file = folder.resolve() / FILE
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not valid YAML: {error}") from None
    values = check_fields(content, Study, str(file), given=("folder",))
    parts = [
        read_part(key, part, str(file)) for key, part in check_mapping(values.pop("parts"), f"{file}: parts").items()
    ]
    return Study(folder=file.parent, **values, parts=parts)


def read_part(name: str, values: Any, file: str) -> Part:
    """Read a part of a study from the mapping under its name."""
    where = f"{file}: parts.{name}"
    part = check_fields(values, Part, where, given=("name",))
    if len(check_mapping(part["size"], f"{where}.size")) != 1 or next(iter(part["size"])) not in UNITS:
        raise UserError(f"{where}.size is {part['size']}: expected the number of one of {', '.join(UNITS)}.")
    data = [
        DatasetChoice(
            dataset=dataset,
            **check_fields(settings or {}, DatasetChoice, f"{where}.data.{dataset}", given=("dataset",)),
        )
        for dataset, settings in check_mapping(part.pop("data"), f"{where}.data").items()
    ]
    return Part(name=name, **part, data=data)


def check_fields(
    values: Any, kind: type[Study | Part | DatasetChoice], where: str, *, given: tuple[str, ...]
) -> dict[str, Any]:
    """Return the mapping if its keys are the fields of a dataclass, other than the fields `given`.

    Raises:
        UserError: A key is unknown or missing.
    """
    values = check_mapping(values, where, may_be_empty=True)
    known = [one for one in fields(kind) if one.name not in given]
    names = [one.name for one in known]
    if unknown := [str(key) for key in values if key not in names]:
        raise UserError(f"{where}: unknown key {unknown[0]}{did_you_mean(unknown[0], names)}")
    required = [one.name for one in known if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise UserError(f"{where}: missing {', '.join(missing)}.")
    return dict(values)


def check_mapping(values: Any, where: str, *, may_be_empty: bool = False) -> Mapping[str, Any]:
    """Return `values` if it is a mapping.

    Raises:
        UserError: It is not, or is empty and must not be.
    """
    if not isinstance(values, Mapping) or not (values or may_be_empty):
        raise UserError(f"{where} is {values!r}: expected a mapping of keys to values.")
    return values
