"""Tables and config of a run folder, read without its model, so that mistakes are reported before torch is imported."""

from pathlib import Path

import polars as pl

from anirec.config.definitions import inherits
from anirec.data.scale import Scale
from anirec.errors import UserError
from anirec.report.run_files import DamagedError, nested, read_mapping, read_run_config, require_run
from anirec.tracking.folders import status_of

MODEL = "anirec.models.base.Model"


def check_model(run: Path, ancestor: str, problem: str) -> None:
    """Raise a UserError if the model of a run does not inherit a class of anirec.

    Args:
        run: Run folder.
        ancestor: Dotted path of the class.
        problem: What the model cannot do, and what to do instead; it continues a sentence that begins with the model.

    Raises:
        UserError: See above, or the folder is not that of a run.
    """
    require_run(run)
    target = str(model_setting(run, "_target_"))
    if inherits(target, MODEL) and not inherits(target, ancestor):
        raise UserError(f"{run}: {target.rpartition('.')[2]} {problem}")


def model_setting(run: Path, key: str) -> object:
    """Return a setting of a run's model; None if there is no such setting."""
    try:
        return nested(read_run_config(run / "config.yaml"), f"model.{key}")
    except DamagedError as error:
        raise UserError(f"{run}: {error}") from None


def source_class(run: Path) -> str:
    """Return the dotted path of the class of a run's source, or an empty string if the config has none."""
    try:
        return str(nested(read_run_config(run / "config.yaml"), "dataset.source._target_") or "")
    except DamagedError as error:
        raise UserError(f"{run}: {error}") from None


def run_scale(run: Path) -> Scale:
    """Return the rating scale of a run's data.

    Raises:
        UserError: provenance.json is missing or damaged.
    """
    try:
        record = nested(read_mapping(run / "provenance.json"), "data.scale")
        return Scale.of(record)
    except (DamagedError, TypeError) as error:
        raise UserError(f"{run / 'provenance.json'}: damaged: {error}") from None


def has_ratings(run: Path) -> bool:
    """Return whether the data of a run have ratings, and are not implicit feedback."""
    try:
        data = nested(read_mapping(run / "provenance.json"), "data")
    except DamagedError as error:
        raise UserError(f"{run / 'provenance.json'}: {error}") from None
    counts = data if isinstance(data, dict) else {}
    return "rows_kept" not in counts or counts["rows_kept"] != counts.get("unrated_rows")


def scan_parquet(path: Path) -> pl.LazyFrame:
    """Scan a Parquet file of a run folder.

    Raises:
        UserError: The file is missing or damaged.
    """
    if not path.exists():
        if (state := status_of(path.parent)["state"]) != "finished":
            raise UserError(f"{path.parent}: the run has not finished ({state}). Repeat its command with resume=true.")
        raise UserError(f"{path}: missing; if an older version of anirec made this run, train it again.")
    try:
        table = pl.scan_parquet(path, glob=False)
        table.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return table


def read_titles(run: Path) -> pl.DataFrame:
    """Return the run's titles in index order; a missing name is replaced by the id.

    Raises:
        UserError: items.parquet is missing or damaged.
    """
    items = scan_parquet(run / "items.parquet").collect()
    if not {"item_id", "title", "n_ratings"} <= set(items.columns):
        raise UserError(f"{run / 'items.parquet'}: damaged")
    items = items.with_columns(pl.col("title").fill_null(pl.col("item_id").cast(pl.String)))
    return items if "genres" in items.columns else items.with_columns(genres=pl.lit([], pl.List(pl.String)))


def check_number_of_titles(run: Path, items: pl.DataFrame, n_items: int) -> None:
    """Raise a UserError if the titles are not as many as the model's."""
    if len(items) != n_items:
        raise UserError(f"{run / 'items.parquet'}: the titles of another run")
