"""Histories: the list entries (ratings, plans) of the users of a run.

A run folder does not contain them. Its provenance.json identifies the prepared tables by the name and the fingerprint
of their source. They are read from the cache; if they are not there, they are prepared again from the dump, provided
that it has the same fingerprint. `anirec export` writes a copy into the run folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from anirec.atomic import replacing
from anirec.config.compose import default_paths
from anirec.config.definitions import inherits
from anirec.config.identity import replace_folder
from anirec.data.prepare.cache import Prepared, locate_prepared, prepare
from anirec.data.prepare.fingerprint import fingerprint
from anirec.errors import UserError
from anirec.inference.run_tables import check_model, scan_parquet
from anirec.report.run_files import DamagedError, nested, read_mapping, read_run_config

if TYPE_CHECKING:
    from anirec.models.base import RatingModel

EXPORTED = "interactions.parquet"
COPIES = (EXPORTED, "seen.parquet")  # the latter in runs that are older than `anirec export`
COLUMNS = ("user_id", "item_id", "rating", "status")
SOURCE = "anirec.data.sources.base.Source"


def read_histories(run: Path, model: "RatingModel", users: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return user_id, item_id, rating and status (if known) of every list entry of the run's users and titles.

    Args:
        run: Run folder.
        model: Model of the run; its vocabularies name the users and titles.
        users: Ids, as typed, of the only users to read; None for all.

    Raises:
        UserError: Neither run folder, cache nor dump holds the entries, or a file is damaged.
    """
    path = locate_histories(run)
    rows = scan_parquet(path)
    schema = rows.collect_schema()
    ids = {name: vocabulary.ids for name, vocabulary in model.vocabularies.items()}
    expected = {name: of_run.dtype for name, of_run in ids.items()} | {"rating": pl.Float32()}
    if wrong := [name for name, dtype in expected.items() if schema.get(name) != dtype]:
        raise UserError(f"{path}: damaged, or of another run: missing columns or wrong types: {', '.join(wrong)}")
    rows = rows.select(column for column in COLUMNS if column in schema)
    if users is not None:
        rows = rows.filter(pl.col("user_id").is_in(typed_ids(users, schema["user_id"]).implode()))
    return rows.filter(*(pl.col(name).is_in(of_run.implode()) for name, of_run in ids.items()))


def check_users(run: Path, users: Sequence[str]) -> None:
    """Raise a UserError if no list entry of the run's data is of one of the users; the model is not needed for it.

    Args:
        run: Run folder.
        users: Ids of users, as typed.

    Raises:
        UserError: See above, or the entries cannot be found.
    """
    path = locate_histories(run)
    rows = scan_parquet(path)
    schema = rows.collect_schema()
    if "user_id" not in schema:
        raise UserError(f"{path}: damaged: no column user_id")
    ids, typed = rows.select("user_id"), typed_ids(users, schema["user_id"])
    found = ids.filter(pl.col("user_id").is_in(typed.implode())).unique().collect(engine="streaming")["user_id"]
    known = typed.is_in(found.implode()).fill_null(value=False)
    if unknown := [user for user, is_known in zip(users, known, strict=True) if not is_known]:
        some = ids.unique(maintain_order=True).head(3).collect()["user_id"].cast(pl.String)
        raise UserError(
            f"--user {', '.join(unknown)}: not in the data of this run, which has users such as {', '.join(some)}; "
            "for a new user, set --likes"
        )


def typed_ids(users: Sequence[str], dtype: pl.DataType) -> pl.Series:
    """Return ids, as typed, in the type of the data; null where an id cannot be of this type."""
    return pl.Series([*users], dtype=pl.String).cast(dtype, strict=False)


def locate_histories(run: Path) -> Path:
    """Return the path of the list entries: in the run folder, else in the cache, where they are prepared if missing."""
    return next((run / name for name in COPIES if (run / name).exists()), None) or prepared_interactions(run)


def prepared_interactions(run: Path) -> Path:
    """Return the path, in the cache, of the prepared interactions that the run was made from; prepare them if missing.

    Raises:
        UserError: They are not in the cache and cannot be prepared again.
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
        raise UserError(
            f"{prepared.folder}: interactions.parquet is missing; delete this folder, and it is prepared again"
        )
    return path


def prepare_again(run: Path, config: dict[str, Any], prepared: Prepared, paths: dict[str, Path]) -> None:
    """Prepare the interactions from the dump again, if the dump has the fingerprint of the run's data.

    The run folder may be untrusted: only anirec's own sources are created from its config, and they read files only
    below the data folder of the current user.

    Raises:
        UserError: The dump is missing, or its content differs.
    """
    try:
        source = trusted_source(config, paths["data"])
        found = fingerprint(source, paths["cache"])
        if found != prepared.fingerprint:
            raise UserError(f"{paths['data'].absolute()} holds other data (fingerprint {found[:16]})")
        prepare(source, paths["cache"])
    except UserError as error:
        raise UserError(
            f"{run}: the lists of its users are missing. They are not in the cache ({prepared.folder}) and cannot be "
            f"prepared again: {error}\nSet ANIREC_DATA to the folder with the run's dump, or ANIREC_CACHE to the cache "
            f"that has the lists. Where they are available, `anirec export {run}` copies them into the run folder."
        ) from None


def trusted_source(config: dict[str, Any], data: Path) -> Any:
    """Create the source of a run's interactions, with `data` in place of the run's own paths.data.

    Raises:
        UserError: The config does not name a source of anirec, or the source would read outside `data`.
    """
    from hydra.utils import instantiate

    from anirec.inference.reproduce import all_strings

    node, run_data = nested(config, "dataset.source"), nested(config, "paths.data")
    target = str(nested(node, "_target_"))
    parts = all_strings(node)
    if not target.startswith("anirec.") or not inherits(target, SOURCE) or parts.count("_target_") != 1:
        raise UserError(f"config.yaml: dataset.source names {target}, which is not a source of anirec")
    if unresolved := [text for text in parts if "${" in text]:
        raise UserError(f"config.yaml: {unresolved[0]} is not resolved")
    try:
        source = instantiate(replace_folder(node, str(run_data), str(data.absolute())), _convert_="all")
        files = source.files()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"config.yaml: dataset.source cannot be created: {error}") from None
    if outside := [path for path in files if ".." in path.parts or not path.is_relative_to(data.absolute())]:
        raise UserError(f"{outside[0]} is outside {data.absolute()}")
    return source


def export(run: Path) -> tuple[Path, int]:
    """Copy the list entries of the run's users into the run folder, so that it needs neither cache nor dump.

    Returns:
        The path of the copy and its number of rows.

    Raises:
        UserError: The run is not a finished run of a rating model, or the entries cannot be found.
    """
    check_model(run, "anirec.models.base.RatingModel", "has no users, so there are no lists to export")
    from anirec.inference.predict import load

    model: RatingModel = load(run)  # type: ignore[assignment]  # its class was checked
    rows, path = read_histories(run, model), run / EXPORTED
    try:
        with replacing(path) as unfinished:
            rows.sink_parquet(unfinished)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
    return path, int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
