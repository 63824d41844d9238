"""`anirec predict`: load the model of a finished run, safely, and predict new rows."""

from pathlib import Path
from typing import Any, cast

import polars as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anirec.atomic import replacing
from anirec.config.checks import check_targets, unknown_settings
from anirec.config.compose import default_paths
from anirec.config.definitions import inherits
from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.inference.prediction_rows import READERS, model_rows, read_rows, with_item_ids
from anirec.inference.run_tables import has_ratings
from anirec.models.base import Model, RatingModel
from anirec.models.checkpoint import best_or_last, restore
from anirec.report.run_files import require_run

WRITERS = {".csv": pl.DataFrame.write_csv, ".jsonl": pl.DataFrame.write_ndjson, ".parquet": pl.DataFrame.write_parquet}
# A run folder may be untrusted. Its config may name a model and, within it, these classes, which only compute.
MODEL_CLASS = "anirec.models.base.Model"
KNN = ("KNNBasic", "KNNWithMeans", "KNNWithZScore", "KNNBaseline")
ALGORITHMS = ("SVD", "SVDpp", "NMF", "SlopeOne", "CoClustering", "BaselineOnly", "NormalPredictor", *KNN)
IMPLICIT = (
    "als.AlternatingLeastSquares",
    "bpr.BayesianPersonalizedRanking",
    "lmf.LogisticMatrixFactorization",
    *(f"nearest_neighbours.{name}Recommender" for name in ("ItemItem", "Cosine", "TFIDF", "BM25")),
)
OURS = (
    "anirec.models.ratings.boosted_trees.BoostedTrees",
    "anirec.models.training.HeadTraining",
    "anirec.models.training.Training",
    "anirec.models.posts.two_part.TwoPart",
)
PARTS = frozenset([*(f"surprise.{name}" for name in ALGORITHMS), *(f"implicit.{name}" for name in IMPLICIT), *OURS])
BRANCH = "anirec.features.branch.Branch"
NAMED_OTHERWISE = ("descriptions", "portraits", "n_main_characters")  # columns of a file that no table has
# Estimators of scikit-learn only compute, too, except for one argument: a folder from which some of them unpickle.
ESTIMATOR, UNPICKLES = "sklearn.base.BaseEstimator", "memory"


def predict(run: Path, *, input: Path, output: Path) -> dict[str, int]:  # noqa: A002 (the option's name)
    """Predict the rows of a file, and write them with a column `prediction` in the unit of the target.

    If the run has calibrated intervals, the columns `low`, `high` and `unlike_training` are added, too. The last one
    says why a title is unlike the training titles, null if it is not; warnings are printed where many are.

    Args:
        run: Folder of a finished run.
        input: Rows to predict: .csv, .json, .jsonl or .parquet. To models of ratings, titles may be given by name.
        output: File to write: .csv, .jsonl or .parquet.

    Returns:
        The number of `rows`, and how many of them lack which input, such as "titles without a synopsis".

    Raises:
        UserError: The run is not finished, a file has an unknown format, or a column is missing.
    """
    select_format(input, READERS)
    write = select_format(output, WRITERS)
    rows = read_rows(input)
    nested = [name for name, dtype in rows.schema.items() if dtype.is_nested()]
    if nested and output.suffix == ".csv":
        raise UserError(f"{output}: CSV cannot hold lists ({', '.join(nested)}); write to .jsonl or .parquet")
    model = load(run)
    if isinstance(model, RatingModel) and not (model.predicts_ratings and has_ratings(run)):
        raise UserError(f"{run}: the data of this run have no ratings, so that it predicts none; use anirec recommend")
    cache = default_paths()["cache"]
    try:
        known = with_absolute_paths(model_rows(input, rows, columns_read_by(model)), input.parent)
        if isinstance(model, RatingModel) and "item_id" not in rows.columns and "title" in rows.columns:
            known = with_item_ids(run, known)
            rows = rows.with_columns(known["item_id"])
        with torch.inference_mode():
            predictions, lacking = model.predict_rows(known, cache=cache)
    except UserError as error:
        raise UserError(f"{input}: {error}") from None
    columns: dict[str, Any] = {"prediction": predictions}
    if not isinstance(model, RatingModel):  # imports what rating models do not need
        from anirec.inference.score_intervals import interval_bounds

        columns |= interval_bounds(run, model, known, predictions)
    with replacing(output) as unfinished:
        write(rows.with_columns(**columns), unfinished)
    return {"rows": len(rows), **lacking}


def columns_read_by(model: Model) -> set[str]:
    """Return the columns that a model reads, those of its branches included."""
    branches = [part for part in model.modules() if isinstance(part, Branch)]
    return {*model.requires, *(column for branch in branches for column in branch.requires), *NAMED_OTHERWISE}


def with_absolute_paths(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Return the rows with absolute paths of portraits; relative ones are relative to the folder."""
    if rows.schema.get("portraits") != pl.List(pl.String):
        return rows
    path = pl.element()
    absolute = pl.when(path.str.starts_with("/")).then(path).otherwise(pl.lit(f"{folder.absolute()}/") + path)
    return rows.with_columns(pl.col("portraits").list.eval(absolute))


def select_format(path: Path, formats: dict[str, Any]) -> Any:
    if path.suffix not in formats:
        raise UserError(f"{path}: unknown format; the name must end in {', '.join(formats)}")
    return formats[path.suffix]


def load(run: Path) -> Model:
    """Load the best checkpoint of a run, or the last one if there is no best, as a model in evaluation mode.

    Raises:
        UserError: The folder is not a finished run, a file is damaged, or the config does not name a trusted model.
    """
    path = require_checkpoint(run)
    try:
        # Resolved before the check, so that no interpolation can add anything afterwards.
        config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=True))[
            "model"
        ]
        check_trusted(config)
        check_version(run, config)
        model: Model = instantiate(config, _convert_="all")
        if not isinstance(model, Model):
            raise TypeError("its model is not an anirec model")
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{run / 'config.yaml'}: not a config of a run: {error}") from None
    restore(model, path)
    return model.eval()


def require_checkpoint(run: Path) -> Path:
    """Return the path of the best checkpoint of a run, or of the last one if there is no best.

    Raises:
        UserError: The folder is not a run, or has no checkpoint.
    """
    require_run(run)
    if path := best_or_last(run):
        return path
    if (run / "metrics.json").exists():
        raise UserError(f"{run}: kept no checkpoint. Run its config again with checkpoints=best")
    raise UserError(f"{run}: no checkpoint; expected checkpoints/best.ckpt or last.ckpt")


def check_version(run: Path, model: dict[str, Any]) -> None:
    """Raise a UserError if a model config is not valid in this version of anirec; its classes must be trusted."""
    content = {"model": model}
    if unknown := unknown_settings(content):
        are_none = f"{'is no setting' if len(unknown) == 1 else 'are no settings'} of this one"
        raise UserError(
            f"{run}: made by another version of anirec: {', '.join(unknown)} {are_none}. Run the experiment again."
        )
    if problems := list(check_targets(content)):
        raise UserError(
            f"{run / 'config.yaml'}: not valid in this version of anirec: {'; '.join(problems)}. If another version "
            "made the run, run the experiment again."
        )


def check_trusted(node: Any, *, is_model: bool = True) -> None:
    """Raise a UserError if a model config names anything but an anirec model and trusted parts."""
    if isinstance(node, str) and "${" in node:
        # It was escaped, so that the first resolution left it; instantiating would resolve it to anything.
        raise UserError(f"config.yaml: {node} would be resolved only when the model is created; not loaded")
    if isinstance(node, dict):
        # Also as a nested parameter in the grid of a search: pipeline__memory.
        if any(str(key).split("__")[-1] == UNPICKLES and value is not None for key, value in node.items()):
            raise UserError(f"config.yaml: {UNPICKLES} could unpickle files, which runs code; not loaded")
        target = node.get("_target_")
        if is_model or target is not None:
            is_trusted = inherits(str(target), MODEL_CLASS) if is_model else is_model_part(str(target))
            if not is_trusted:
                problem = f"config.yaml: model names {target}, which is not an anirec model or a known part; not loaded"
                raise UserError(
                    f"{problem}. If another version of anirec made the run, run the experiment again"
                    if str(target).startswith("anirec.")
                    else f"{problem}. For a model class of your own, set PYTHONPATH to its folder"
                )
        for value in [*node, *node.values()]:
            check_trusted(value, is_model=False)
    elif isinstance(node, list):
        for value in node:
            check_trusted(value, is_model=False)


def is_model_part(target: str) -> bool:
    if target.startswith("sklearn."):
        return inherits(target, ESTIMATOR)
    return target in PARTS or any(inherits(target, kind) for kind in (BRANCH, MODEL_CLASS))
