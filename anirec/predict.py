"""A finished run's model on rows that it has never seen."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import polars as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from anirec.atomic import replacing
from anirec.data.interactions import RatingBatch
from anirec.data.vocabulary import Vocabulary
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.signature import descends

READERS = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}
WRITERS = {".csv": pl.DataFrame.write_csv, ".jsonl": pl.DataFrame.write_ndjson, ".parquet": pl.DataFrame.write_parquet}
BLOCK = 1 << 17  # rows predicted at once
# A run folder may come from a stranger. Its config may name a model, and in it these classes, which only compute.
MODEL = "anirec.models.base.Model"
KNN = ("KNNBasic", "KNNWithMeans", "KNNWithZScore", "KNNBaseline")
ALGORITHMS = ("SVD", "SVDpp", "NMF", "SlopeOne", "CoClustering", "BaselineOnly", "NormalPredictor", *KNN)
PARTS = frozenset(f"surprise.{name}" for name in ALGORITHMS)


def predict(run: Path, *, input: Path, output: Path) -> dict[str, int]:  # noqa: A002 (the option's name)
    """Read rows with user_id and item_id, write them with a column `prediction` in the data's unit.

    Returns:
        The number of rows, and how many of their users and items the run does not know.

    Raises:
        UserError: The run is not finished, a file has another form, or a column is missing.
    """
    read, write = form(input, READERS), form(output, WRITERS)
    try:
        rows: pl.DataFrame = read(input)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{input}: cannot be read: {error}") from None
    if missing := {"user_id", "item_id"} - set(rows.columns):
        raise UserError(f"{input}: no column {', '.join(sorted(missing))}; there are {', '.join(rows.columns)}")
    model, users, items = load(run)
    user, item = encoded(users, rows["user_id"], input), encoded(items, rows["item_id"], input)
    nothing = torch.full((len(rows),), float("nan"))
    batches = zip(*(column.split(BLOCK) for column in (user, item, nothing)), strict=True)
    with torch.inference_mode():
        predictions = torch.cat([model(RatingBatch(*batch)) for batch in batches])
    with replacing(output) as beside:
        write(rows.with_columns(prediction=predictions.numpy()), beside)
    return {"rows": len(rows), "unknown_users": int((user < 0).sum()), "unknown_items": int((item < 0).sum())}


def form(path: Path, forms: dict[str, Any]) -> Any:
    if path.suffix not in forms:
        raise UserError(f"{path}: the name must end in {', '.join(forms)}")
    return forms[path.suffix]


def encoded(vocabulary: Vocabulary, raw: pl.Series, path: Path) -> torch.Tensor:
    """(n,) int64 indices; -1 for an id that the run does not know."""
    numbers = vocabulary.ids.dtype.is_integer()
    if numbers != raw.dtype.is_integer():
        kind = "whole numbers" if numbers else "text"
        raise UserError(f"{path}: column {raw.name} holds {raw.dtype}, expected {kind}, as in the data of this run")
    return torch.from_numpy(vocabulary.encode(raw.cast(vocabulary.ids.dtype)).astype("int64"))


def load(run: Path) -> tuple[RatingModel, Vocabulary, Vocabulary]:
    """The best model of a run, and the vocabularies of its users and items.

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
        model: RatingModel = instantiate(config, _convert_="all")
    except (OmegaConfBaseException, InstantiationException, YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{run / 'config.yaml'}: not the config of a run: {error}") from None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
        ids = checkpoint["RatingData"]
    except (UnpicklingError, RuntimeError, KeyError, EOFError, ValueError, TypeError):
        raise UserError(f"{path}: damaged, or not a checkpoint of this run's model; it was not loaded") from None
    return model.eval(), Vocabulary(pl.Series(ids["user_id"])), Vocabulary(pl.Series(ids["item_id"]))


def check_trusted(node: Any, *, is_model: bool = True) -> None:
    """Refuse a config that could call anything but a model and its parts."""
    if isinstance(node, dict):
        target = node.get("_target_")
        if is_model or target is not None:
            known = descends(str(target), MODEL) if is_model else target in PARTS
            if not known:
                raise UserError(f"config.yaml: model names {target}, which is no anirec model; it is not run")
        for value in node.values():
            check_trusted(value, is_model=False)
    elif isinstance(node, list):
        for value in node:
            check_trusted(value, is_model=False)
