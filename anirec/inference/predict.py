"""A finished run's model on rows that it has never seen."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf

from anirec.atomic import replacing
from anirec.config.compose import default_paths
from anirec.config.definitions import inherits
from anirec.errors import UserError
from anirec.metrics.conformal import prediction_interval
from anirec.models.base import Model

READERS = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}
WRITERS = {".csv": pl.DataFrame.write_csv, ".jsonl": pl.DataFrame.write_ndjson, ".parquet": pl.DataFrame.write_parquet}
# A run folder may come from a stranger. Its config may name a model, and in it these classes, which only compute.
MODEL_CLASS = "anirec.models.base.Model"
KNN = ("KNNBasic", "KNNWithMeans", "KNNWithZScore", "KNNBaseline")
ALGORITHMS = ("SVD", "SVDpp", "NMF", "SlopeOne", "CoClustering", "BaselineOnly", "NormalPredictor", *KNN)
OURS = (
    "anirec.models.training.HeadTraining",
    "anirec.models.training.Training",
    "anirec.models.posts.two_part.TwoPart",
)
PARTS = frozenset([*(f"surprise.{name}" for name in ALGORITHMS), *OURS])
BRANCH = "anirec.features.branch.Branch"
# Estimators of scikit-learn compute only, too, but for one argument: a folder from which some of them unpickle.
ESTIMATOR, UNPICKLES = "sklearn.base.BaseEstimator", "memory"


def predict(run: Path, *, input: Path, output: Path) -> dict[str, int]:  # noqa: A002 (the option's name)
    """Write rows again with a column `prediction` in the data's unit; `low` and `high` too where the run has intervals.

    Returns:
        The number of rows, and how many of them lack what.

    Raises:
        UserError: The run is not finished, a file has another form, or a column is missing.
    """
    read, write = form(input, READERS), form(output, WRITERS)
    try:
        rows: pl.DataFrame = read(input)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{input}: cannot be read: {error}") from None
    if not len(rows):
        raise UserError(f"{input}: there is no row in it")
    nested = [name for name, dtype in rows.schema.items() if dtype.is_nested()]
    if nested and output.suffix == ".csv":
        raise UserError(f"{output}: CSV holds no lists, such as {', '.join(nested)}; write to .jsonl or .parquet")
    model = load(run)
    cache = default_paths()["cache"]
    try:
        with torch.inference_mode():
            predictions, lacking = model.predict_rows(beside(rows, input.parent), cache=cache)
    except UserError as error:
        raise UserError(f"{input}: {error}") from None
    columns = {"prediction": predictions, **bounds(run, predictions)}
    with replacing(output) as unfinished:
        write(rows.with_columns(**columns), unfinished)
    return {"rows": len(rows), **lacking}


def beside(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Paths of pictures are relative to the file that names them."""
    if rows.schema.get("portraits") != pl.List(pl.String):
        return rows
    path = pl.element()
    absolute = pl.when(path.str.starts_with("/")).then(path).otherwise(pl.lit(f"{folder.absolute()}/") + path)
    return rows.with_columns(pl.col("portraits").list.eval(absolute))


def form(path: Path, forms: dict[str, Any]) -> Any:
    if path.suffix not in forms:
        raise UserError(f"{path}: the name must end in {', '.join(forms)}")
    return forms[path.suffix]


def bounds(run: Path, predictions: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """`low` and `high` of each prediction, as calibrated on the run's validation set; nothing without one."""
    try:
        half_width = json.loads((run / "metrics.json").read_text(encoding="utf-8")).get("val/interval_half_width")
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{run / 'metrics.json'}: missing or damaged; has the run finished?") from None
    if not isinstance(half_width, int | float):
        return {}
    low, high = prediction_interval(predictions, float(half_width))
    return {"low": low, "high": high}


def load(run: Path) -> Model:
    """The best model of a run.

    Raises:
        UserError: It is no finished run, its files are damaged, or they name what is no model.
    """
    paths = [run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    path = next((path for path in paths if path.exists()), None)
    if path is None or not (run / "config.yaml").exists():
        raise UserError(f"{run}: no run folder with config.yaml and checkpoints/best.ckpt")
    try:
        # What is checked is what is made: resolved, so that no interpolation can bring in anything later.
        config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=True))[
            "model"
        ]
        check_trusted(config)
        model: Model = instantiate(config, _convert_="all")
        if not isinstance(model, Model):
            raise TypeError("model makes no anirec model")
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{run / 'config.yaml'}: not the config of a run: {error}") from None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
    except UserError:
        raise
    except Exception:
        raise UserError(f"{path}: damaged, or not a checkpoint of this run's model; it was not loaded") from None
    return model.eval()


def check_trusted(node: Any, *, is_model: bool = True) -> None:
    """Refuse a config that could call anything but a model and its parts."""
    if isinstance(node, str) and "${" in node:
        # Resolved once, it was escaped; making the model would resolve it again, into anything.
        raise UserError(f"config.yaml: {node} is resolved only when the model is made; it is not run")
    if isinstance(node, dict):
        # Also as a parameter of a part, in what a search tries: pipeline__memory.
        if any(str(key).split("__")[-1] == UNPICKLES and value is not None for key, value in node.items()):
            raise UserError(f"config.yaml: {UNPICKLES} would load files that run code; it is not run")
        target = node.get("_target_")
        if is_model or target is not None:
            known = inherits(str(target), MODEL_CLASS) if is_model else is_part(str(target))
            if not known:
                told = f"config.yaml: model names {target}, which is no anirec model; it is not run"
                raise UserError(f"{told}. A class of your own is found with PYTHONPATH=FOLDER")
        for value in [*node, *node.values()]:
            check_trusted(value, is_model=False)
    elif isinstance(node, list):
        for value in node:
            check_trusted(value, is_model=False)


def is_part(target: str) -> bool:
    if target.startswith("sklearn."):
        return inherits(target, ESTIMATOR)
    return target in PARTS or any(inherits(target, kind) for kind in (BRANCH, MODEL_CLASS))
