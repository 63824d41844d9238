"""Exchange with other frameworks: the rows of a split as files, and their predictions and lists as a run."""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from hydra import initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anirec.atomic import replacing, write_text
from anirec.config.compose import conf_folder, read_choice, with_folder
from anirec.config.validate import Composer, validate
from anirec.errors import UserError
from anirec.metrics.names import problem_with_kind

if TYPE_CHECKING:
    from anirec.data.ratings.interactions import Interactions

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,59}")  # file systems allow 255 bytes
IMPORTED = "anirec.models.ratings.imported.Imported"
RATING_DATA = "anirec.data.ratings.datamodule.RatingData"
PARTS = ("train", "val", "test", "given", "unrated", "excluded")
WRITERS: dict[str, Any] = {"csv": pl.DataFrame.write_csv, "parquet": pl.DataFrame.write_parquet}
ANY_MODEL = ["model=popularity", "objective=null"]  # what a split does not depend on


def export_split(
    overrides: Sequence[str], output: Path, *, file_format: str, config_dir: str | None = None
) -> dict[str, int]:
    """Write the rows of a split, for another framework to train on and predict.

    Args:
        overrides: Choice of dataset and split, and their keys.
        output: Folder for train, val, test and, where there are any, given (known history that is no target), unrated
            (seen without a rating) and excluded (seen, with a status that dataset.statuses leaves out); with user_id,
            item_id, rating in the unit of the data, and timestamp if the dataset has times; and split.json with the
            fingerprint and the overrides.
        file_format: "csv" or "parquet".
        config_dir: Folder of the user's YAML files.

    Returns:
        The number of rows of each file.

    Raises:
        UserError: The overrides are wrong, or the dataset has no ratings.
    """
    config = compose_one([*ANY_MODEL, *overrides], config_dir)
    if config.dataset._target_ != RATING_DATA:
        raise UserError("Only splits of ratings can be exported; choose another dataset, see anirec data list.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: cannot create this folder ({error.strerror}). Choose another.") from None
    data = instantiate(config.dataset, split=instantiate(config.split), cache=config.paths.cache, _convert_="all")
    data.prepare_data()
    data.setup("fit")
    counts = {}
    for part in PARTS:
        rows: Interactions = getattr(data, part)
        if len(rows) or part in ("train", "test"):
            with replacing(output / f"{part}.{file_format}") as temporary:
                WRITERS[file_format](part_table(data, part), temporary)
            counts[part] = len(rows)
    about = {"overrides": list(overrides), "rows": counts, **data.provenance()["split"]}
    write_text(output / "split.json", json.dumps(about, indent=1, default=str) + "\n")
    return counts


def part_table(data: Any, part: str) -> pl.DataFrame:
    """Return the rows of a part, sorted by user and item."""
    rows: Interactions = getattr(data, part)
    ids = {"user_id": data.user_vocabulary.ids.gather(rows.user), "item_id": data.item_vocabulary.ids.gather(rows.item)}
    in_points = part in ("train", "given")
    rating = pl.Series(data.scale.from_points(rows.rating) if in_points else rows.rating).fill_nan(None)
    table = pl.DataFrame({**ids, "rating": rating})
    if rows.time is not None:
        from anirec.data.ratings.interactions import UNKNOWN

        time = pl.Series(rows.time).replace(UNKNOWN, None).cast(pl.Datetime("us"))
        table = table.with_columns(timestamp=time)
    return table


def import_results(
    name: str,
    overrides: Sequence[str],
    *,
    predictions: Path | None,
    lists: Path | None,
    config_dir: str | None = None,
) -> None:
    """Evaluate predictions and lists of another framework in a run, whose model has the given name.

    Only the test set is evaluated: without lists no ranking metrics, without predictions no errors of ratings.

    Args:
        name: Name of the model in tables and folders.
        overrides: Choice of dataset and split, as in `export_split`, and other keys of a run, such as metrics.names.
        predictions: File of predictions; see `Imported`.
        lists: File of lists; see `Imported`.
        config_dir: Folder of the user's YAML files.

    Raises:
        UserError: There is no file, or the name cannot be used.
    """
    files = [path for path in (predictions, lists) if path]
    if not files:
        raise UserError("Set --predictions FILE, --lists FILE, or both.")
    if missing := [str(path) for path in files if not path.is_file()]:
        raise UserError(f"no such file: {', '.join(missing)}")
    if not NAME.fullmatch(name):
        raise UserError(
            f"--model {name}: expected a name of at most 60 letters, digits, -, _ and ., such as implicit_als"
        )
    chosen = next((text for text in reversed(overrides) if text.startswith("metrics=")), "metrics=ratings")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), name, predictions, lists, files)
        if config_dir:
            join_folders(Path(folder), Path(config_dir))
        fixed = [f"model={name}", "objective=null", "+trainer.limit_val_batches=0"]
        if not any(text.startswith("metrics.names=") for text in overrides):
            names = metric_names(chosen.partition("=")[2], rating=predictions is not None, ranking=lists is not None)
            fixed.append(f"metrics.names=[{','.join(names)}]")
        arguments = [*overrides, *fixed]
        check_name(name)
        validate(arguments, config_dir=folder)
        from anirec.sweeps import launch

        launch.main(["--config-dir", folder, *arguments], typed=arguments)


def write_model(folder: Path, name: str, predictions: Path | None, lists: Path | None, files: Sequence[Path]) -> None:
    """Write the YAML of the model to a folder for `--config-dir`."""
    content = hashlib.sha256()
    for path in files:
        content.update(path.read_bytes())
    paths = {
        key: str(path.absolute()) if path else None for key, path in (("predictions", predictions), ("lists", lists))
    }
    model = {"_target_": IMPORTED, **paths, "content": content.hexdigest()[:16]}
    write_text(folder / "model" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(model)))


def join_folders(folder: Path, config_dir: Path) -> None:
    """Add the YAML files of the user's folder, as Hydra takes one further folder only."""
    for group in sorted(path for path in config_dir.iterdir() if path.is_dir()):
        (folder / group.name).mkdir(exist_ok=True)
        for path in sorted(group.glob("*.yaml")):
            (folder / group.name / path.name).symlink_to(path.absolute())


def check_name(name: str) -> None:
    """Raise a UserError if a model of anirec has this name."""
    if (conf_folder() / "model" / f"{name}.yaml").exists():
        raise UserError(f"--model {name}: anirec has a model of this name; choose another one, such as other_{name}")


def metric_names(choice: str, *, rating: bool, ranking: bool) -> list[str]:
    """Return the metrics of a choice of `metrics` that predictions or lists suffice for."""
    kinds = {*(["rating"] if rating else []), *(["ranking", "lists"] if ranking else [])}
    names = read_choice("metrics", choice)["names"]
    return [name for name in names if not problem_with_kind(name, kinds)]


def compose_one(overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    """Return the config of one run.

    Raises:
        UserError: The overrides are wrong or describe several runs.
    """
    if validate(overrides, config_dir=config_dir) != 1:
        raise UserError("These overrides describe several runs; give one value to each key.")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return Composer(with_folder(config_dir)).compose(overrides)
