"""Histories: what the users of a run have on their lists.

A run folder holds no copy of them, but refers to the prepared tables that it was made from: by the name and the
fingerprint of their source, in provenance.json. They are read from the cache; where it lacks them, they are prepared
again from the dump, if that has the same fingerprint. `anirec export` writes a copy into the run folder.
"""

from pathlib import Path
from typing import Any

import polars as pl
from hydra.utils import instantiate

from anirec.atomic import replacing
from anirec.config.compose import default_paths
from anirec.config.definitions import inherits
from anirec.config.identity import replace_folder
from anirec.data.prepare.cache import Prepared, locate_prepared, prepare
from anirec.data.prepare.fingerprint import fingerprint
from anirec.errors import UserError
from anirec.inference.predict import load
from anirec.inference.reproduce import strings
from anirec.models.base import RatingModel
from anirec.report.run_files import DamagedError, nested, read_mapping, read_run_config

EXPORTED = "interactions.parquet"
COPIES = (EXPORTED, "seen.parquet")  # the latter in runs of before there was `anirec export`
COLUMNS = ("user_id", "item_id", "rating", "status")
SOURCE = "anirec.data.sources.base.Source"


def histories(run: Path, model: RatingModel) -> pl.LazyFrame:
    """user_id, item_id, rating and, where the dump has it, status of every list entry of the run's users and titles.

    Args:
        run: Its folder.
        model: Its model.

    Raises:
        UserError: The folder has no copy, and neither the cache nor the dump is here; or a file is damaged.
    """
    path = next((run / name for name in COPIES if (run / name).exists()), None) or interactions(run)
    rows = scan(path)
    schema = rows.collect_schema()
    ids = {name: vocabulary.ids for name, vocabulary in model.vocabularies.items()}
    expected = {name: of_run.dtype for name, of_run in ids.items()} | {"rating": pl.Float32()}
    if wrong := [name for name, dtype in expected.items() if schema.get(name) != dtype]:
        raise UserError(f"{path}: damaged, or not the lists of this run's users: wrong or no {', '.join(wrong)}")
    rows = rows.select(column for column in COLUMNS if column in schema)
    return rows.filter(*(pl.col(name).is_in(of_run.implode()) for name, of_run in ids.items()))


def scan(path: Path) -> pl.LazyFrame:
    """A parquet file.

    Raises:
        UserError: It is missing or damaged.
    """
    if not path.exists():
        raise UserError(f"{path}: missing; was the run made by an older anirec? Make it again.")
    try:
        table = pl.scan_parquet(path)
        table.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return table


def interactions(run: Path) -> Path:
    """The prepared interactions that the run was made from, in the cache.

    Raises:
        UserError: They are neither there nor can they be prepared again.
    """
    try:
        provenance = read_mapping(run / "provenance.json")
        config = read_run_config(run / "config.yaml")
    except DamagedError as error:
        raise UserError(f"{run}: {error}") from None
    name, of_run = (str(nested(provenance, f"data.{key}")) for key in ("source.name", "sources.source"))
    paths = default_paths()
    try:
        prepared = locate_prepared(name, of_run, paths["cache"])
    except UserError as error:
        raise UserError(f"{run / 'provenance.json'}: {error}, as data.source.name and data.sources.source") from None
    if prepared.interactions is None:
        prepare_again(run, config, prepared, paths)
    path = prepared.interactions
    if path is None:
        raise UserError(f"{prepared.folder}: interactions.parquet is missing; remove this folder, and it is made again")
    return path


def prepare_again(run: Path, config: dict[str, Any], prepared: Prepared, paths: dict[str, Path]) -> None:
    """Fill the cache from the dump, if that has the fingerprint.

    The run folder may come from a stranger: only anirec's own sources are made of its config, and they read only below
    this user's own folder of data.

    Raises:
        UserError: The dump is not here, or is another one.
    """
    try:
        source = source_of(config, paths["data"])
        found = fingerprint(source, paths["cache"])
        if found != prepared.fingerprint:
            raise UserError(f"what is in {paths['data'].absolute()} is other data (fingerprint {found[:16]})")
        prepare(source, paths["cache"])
    except UserError as error:
        raise UserError(
            f"{run}: the lists of its users are missing. They are not in the cache ({prepared.folder}), and cannot be "
            f"prepared again: {error}\nPut the run's dump there (ANIREC_DATA), or set ANIREC_CACHE to the cache that "
            f"has them; `anirec export {run}`, where they are, makes the folder independent of both."
        ) from None


def source_of(config: dict[str, Any], data: Path) -> Any:
    """The source of a run's interactions, with its folder below `data` in the place of the run's own paths.data.

    Raises:
        UserError: It is no source of anirec, or reads elsewhere.
    """
    node, place = nested(config, "dataset.source"), nested(config, "paths.data")
    target = str(nested(node, "_target_"))
    parts = strings(node)
    if not target.startswith("anirec.") or not inherits(target, SOURCE) or parts.count("_target_") != 1:
        raise UserError(f"config.yaml: dataset.source names {target}, which is no source of anirec")
    if strange := [text for text in parts if "${" in text]:
        raise UserError(f"config.yaml: {strange[0]} is not resolved")
    try:
        source = instantiate(replace_folder(node, str(place), str(data.absolute())), _convert_="all")
        files = source.files()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"config.yaml: dataset.source makes no source: {error}") from None
    if outside := [path for path in files if ".." in path.parts or not path.is_relative_to(data.absolute())]:
        raise UserError(f"{outside[0]} lies outside of {data.absolute()}")
    return source


def export(run: Path) -> tuple[Path, int]:
    """Copy the lists of the run's users into its folder, so that it needs neither cache nor dump. Where, and how many.

    Raises:
        UserError: It is no finished run of a rating model, or the lists are not here.
    """
    model = load(run)
    if not isinstance(model, RatingModel):
        raise UserError(f"{run}: {type(model).__name__} knows no users: there are no lists to export")
    rows, path = histories(run, model), run / EXPORTED
    try:
        with replacing(path) as unfinished:
            rows.sink_parquet(unfinished)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
    return path, int(pl.scan_parquet(path).select(pl.len()).collect().item())
