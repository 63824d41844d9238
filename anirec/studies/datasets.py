"""Choice of the data that a study runs on: the first of its datasets that is available and large enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anirec.config.compose import conf_folder, first_line
from anirec.data.prepare.cache import prepare
from anirec.errors import UserError
from anirec.studies.definition import DatasetChoice, Part

COMPLETE = 0.99  # share of the published rows that counts as the full dump: copies of a dump vary a little


@dataclass(frozen=True, kw_only=True)
class ChosenData:
    """The dataset that a part of a study runs on.

    Attributes:
        choice: The dataset, with its own overrides and commands.
        description: Its size, and how it compares with the published data.
        n_rows: Number of its ratings, titles or posts; None for generated data.
        is_own: Whether it is the complete data of the study; only then can results be compared with published ones.
        rejected: Why earlier datasets of the part were not chosen, one line each.
    """

    choice: DatasetChoice
    description: str
    n_rows: int | None
    is_own: bool
    rejected: list[str]

    @property
    def n_scaled(self) -> int | None:
        """Size to which counts of the full data are scaled; None for generated or complete data."""
        return None if self.is_own else self.n_rows


def choose_data(part: Part, overrides: Sequence[str]) -> ChosenData | None:
    """Return the first dataset of a part that is available and large enough; generated data always is.

    Args:
        part: The part of a study.
        overrides: Overrides of the user: `paths.data` and `paths.cache` are the folders of data; `dataset` names one of
            the datasets, whatever its size. None is returned if the part does not have it.

    Raises:
        UserError: No dataset is available; the message lists the reasons.
    """
    requested = [override.partition("=")[2] for override in overrides if override.startswith("dataset=")]
    paths = [override for override in overrides if override.startswith("paths.")]
    choices = [choice for choice in part.data if not requested or choice.dataset in requested]
    if not choices:
        return None
    rejected: list[str] = []
    for choice in choices:
        try:
            count = count_rows(choice.dataset, part.unit, paths)
        except UserError as error:
            rejected.append(first_line(error).rstrip(":"))
            continue
        if count is None:
            description = f"{choice.dataset}: generated data; results cannot be compared with the published ones"
        elif count < part.least and not requested:
            rejected.append(f"{choice.dataset}: only {count:,} {part.unit}; at least {part.least:,} are needed")
            continue
        else:
            description = f"{choice.dataset}: {count:,} {part.unit}, {compare_size(part, choice, count)}"
        is_own = choice is part.data[0] and count is not None and count >= COMPLETE * part.published
        return ChosenData(choice=choice, description=description, n_rows=count, is_own=is_own, rejected=rejected)
    raise UserError("\n".join([f"{part.name}: none of its datasets is available:", *(f"  {why}" for why in rejected)]))


def compare_size(part: Part, choice: DatasetChoice, count: int) -> str:
    """Return how the available data compares with the published data."""
    if choice is not part.data[0]:
        return f"not the study's own data ({part.data[0].dataset}: {part.published:,})"
    if count < COMPLETE * part.published:
        return f"a sample of the study's {part.published:,}"
    return f"the study's own data ({part.published:,} published)"


def count_rows(dataset: str, unit: str, paths: Sequence[str] = ()) -> int | None:
    """Return the number of available ratings, titles with synopsis and score, or posts; None for generated data.

    Raises:
        UserError: Files of the dataset are missing, or it has no such rows.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"dataset={dataset}", *paths])
        source, cache = instantiate(config.dataset.source, _convert_="all"), config.paths.cache
    if not source.files():
        return None
    prepared = prepare(source, cache)
    table = {"ratings": prepared.interactions, "titles": prepared.items, "posts": prepared.posts}[unit]
    needed = {"ratings": ["rating"], "titles": ["synopsis", "score"], "posts": ["score"]}[unit]
    rows = None if table is None else pl.scan_parquet(table, glob=False)
    if rows is None or not set(needed) <= set(rows.collect_schema()):
        raise UserError(f"{dataset}: the dataset has no {unit}")
    return int(rows.drop_nulls(needed).select(pl.len()).collect().item())
