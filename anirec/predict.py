"""A finished run's model on rows that it has never seen."""

from pathlib import Path
from typing import Any

import polars as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anirec.atomic import replacing
from anirec.data.interactions import RatingBatch
from anirec.data.vocabulary import Vocabulary
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.signature import descends

READERS = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}
WRITERS = {".csv": pl.DataFrame.write_csv, ".jsonl": pl.DataFrame.write_ndjson, ".parquet": pl.DataFrame.write_parquet}
# What a model's YAML may name inside: the packages whose classes compute and do nothing else.
MODEL, TRUSTED = "anirec.models.base.Model", ("anirec.models.", "surprise.", "sklearn.")


def predict(run: Path, *, input: Path, output: Path) -> dict[str, int]:  # noqa: A002 (the option's name)
    """Read rows with user_id and item_id, write them with a column `prediction` in the data's unit.

    Returns:
        The number of rows, and how many of their users and items the run does not know.

    Raises:
        UserError: The run is not finished, a file has another form, or a column is missing.
    """
    read, write = form(input, READERS), form(output, WRITERS)
    model, users, items = load(run)
    try:
        rows: pl.DataFrame = read(input)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{input}: cannot be read: {error}") from None
    if missing := {"user_id", "item_id"} - set(rows.columns):
        raise UserError(f"{input}: no column {', '.join(sorted(missing))}; there are {', '.join(rows.columns)}")
    batch = RatingBatch(
        torch.from_numpy(encoded(users, rows["user_id"], input)),
        torch.from_numpy(encoded(items, rows["item_id"], input)),
        torch.full((len(rows),), float("nan")),
    )
    with torch.inference_mode():
        predictions = model(batch)
    with replacing(output) as beside:
        write(rows.with_columns(prediction=predictions.numpy()), beside)
    return {
        "rows": len(rows),
        "unknown_users": int((batch.user < 0).sum()),
        "unknown_items": int((batch.item < 0).sum()),
    }


def form(path: Path, forms: dict[str, Any]) -> Any:
    if path.suffix not in forms:
        raise UserError(f"{path}: the name must end in {', '.join(forms)}")
    return forms[path.suffix]


def encoded(vocabulary: Vocabulary, raw: pl.Series, path: Path) -> Any:
    try:
        return vocabulary.encode(raw.cast(vocabulary.ids.dtype)).astype("int64")
    except pl.exceptions.InvalidOperationError:
        kind = "numbers" if vocabulary.ids.dtype.is_integer() else "text"
        raise UserError(f"{path}: column {raw.name} must hold {kind}, as the data of this run does") from None


def load(run: Path) -> tuple[RatingModel, Vocabulary, Vocabulary]:
    """The best model of a run, and the vocabularies of its users and items.

    A run folder may come from a stranger: its config may name models only, and its checkpoint holds numbers only.
    """
    paths = [run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    path = next((path for path in paths if path.exists()), None)
    if path is None or not (run / "config.yaml").exists():
        raise UserError(f"{run}: no run folder with config.yaml and checkpoints/best.ckpt")
    config = OmegaConf.load(run / "config.yaml").model
    check_trusted(OmegaConf.to_container(config))
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    model: RatingModel = instantiate(config, _convert_="all")
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    ids = checkpoint["RatingData"]
    return model.eval(), Vocabulary(pl.Series(ids["user_id"])), Vocabulary(pl.Series(ids["item_id"]))


def check_trusted(node: Any, *, is_model: bool = True) -> None:
    """Refuse a config that could call anything but a model and its parts."""
    if isinstance(node, dict):
        target = node.get("_target_")
        known = target is None or (descends(target, MODEL) if is_model else target.startswith(TRUSTED))
        if not known:
            raise UserError(f"config.yaml: model names {target}, which is no anirec model; it is not run")
        for value in node.values():
            check_trusted(value, is_model=False)
    elif isinstance(node, list):
        for value in node:
            check_trusted(value, is_model=False)
