"""Which data a study runs on: the first of its datasets that is here, and how that compares with the published one."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anirec.config.compose import conf_folder
from anirec.data.prepare.cache import prepare
from anirec.errors import UserError
from anirec.studies.definition import DatasetChoice, Part

ALL = 0.99  # share of the published rows from which nothing is said to lack: copies of a dump vary a little


@dataclass(frozen=True, kw_only=True)
class ChosenData:
    """What a part runs on.

    Args:
        choice: The dataset, with what is for it alone.
        told: What it is, and how it compares.
        own: Whether it is the study's own data, all of them: only then can figures be compared.
        passed_over: Why not the datasets before it.
    """

    choice: DatasetChoice
    told: str
    own: bool
    passed_over: list[str]


def choose_data(part: Part, overrides: Sequence[str]) -> ChosenData | None:
    """The first dataset of a part that is here and large enough; generated data always are.

    Args:
        overrides: Those of the user: `paths.data` and `paths.cache` say where data are; `dataset` asks for one. None is
            returned where the part does not know that dataset.

    Raises:
        UserError: No dataset is here, with what each lacks.
    """
    asked = [override.partition("=")[2] for override in overrides if override.startswith("dataset=")]
    paths = [override for override in overrides if override.startswith("paths.")]
    choices = [choice for choice in part.data if not asked or choice.dataset in asked]
    if not choices:
        return None
    passed_over: list[str] = []
    for choice in choices:
        try:
            count = count_rows(choice.dataset, part.unit, paths)
        except UserError as error:
            passed_over.append(first_line(error))
            continue
        if count is None:
            told = f"{choice.dataset}: generated data; its figures cannot be compared with published ones"
        elif count < part.least and not asked:
            passed_over.append(f"{choice.dataset}: only {count:,} {part.unit} here")
            continue
        else:
            told = f"{choice.dataset}: {count:,} {part.unit}, {compare_size(part, choice, count)}"
        own = choice is part.data[0] and count is not None and count >= ALL * part.published
        return ChosenData(choice=choice, told=told, own=own, passed_over=passed_over)
    raise UserError("\n".join([f"{part.name}: none of its data is here:", *(f"  {why}" for why in passed_over)]))


def compare_size(part: Part, choice: DatasetChoice, count: int) -> str:
    """How many rows compare with the published."""
    if choice is not part.data[0]:
        return f"not the study's own data ({part.data[0].dataset}: {part.published:,})"
    if count < ALL * part.published:
        return f"a sample of the study's {part.published:,}"
    return f"the study's own data ({part.published:,} published)"


def count_rows(dataset: str, unit: str, paths: Sequence[str] = ()) -> int | None:
    """How many ratings, titles with synopsis and score, or posts are here; None for generated data.

    Raises:
        UserError: Its files are missing, or hold no such rows.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"dataset={dataset}", *paths])
        source, cache = instantiate(config.dataset.source, _convert_="all"), config.paths.cache
    if not source.files():
        return None
    prepared = prepare(source, cache)
    table = {"ratings": prepared.interactions, "titles": prepared.items, "posts": prepared.posts}[unit]
    needed = {"ratings": ["rating"], "titles": ["synopsis", "score"], "posts": ["score"]}[unit]
    rows = None if table is None else pl.scan_parquet(table)
    if rows is None or not set(needed) <= set(rows.collect_schema()):
        raise UserError(f"{dataset}: no {unit} here")
    return int(rows.drop_nulls(needed).select(pl.len()).collect().item())


def first_line(error: UserError) -> str:
    return str(error).splitlines()[0].rstrip(":")
