"""The titles of a run and its model, ready to be explained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from anirec.config.compose import default_paths
from anirec.data.titles.datamodule import Corpus, titles_of
from anirec.errors import UserError
from anirec.inference.predict import columns_read_by, load, select_format, with_absolute_paths
from anirec.inference.prediction_rows import READERS, model_rows, read_rows
from anirec.inference.reproduce import config_of
from anirec.models.titles.base import ScoreModel
from anirec.report.runs import read_run
from anirec.run import instantiate_node


@dataclass(frozen=True)
class RunTitles:
    """The model of a run, and the titles that it was trained, validated and tested on.

    Args:
        run: Run folder.
        model: A score model with branches, in evaluation mode.
        corpus: The titles, split as in the run.
    """

    run: Path
    model: ScoreModel
    corpus: Corpus

    @classmethod
    def read(cls, run: Path) -> "RunTitles":
        """Load the model and the titles of a run.

        Raises:
            UserError: The run cannot be read, or its model has no modalities.
        """
        model = load(run)
        name = type(model).__name__
        if not isinstance(model, ScoreModel) or not model.branches:
            raise UserError(f"{run}: {name} reads titles without modalities, so that there is nothing to explain")
        return cls(run, model.requires_grad_(False), corpus_of(run))

    @property
    def train(self) -> pl.DataFrame:
        return self.corpus.titles[self.corpus.train]

    def look(self, titles: pl.DataFrame) -> None:
        """Let the model look at titles."""
        self.model.look(titles, cache=default_paths()["cache"], device=torch.device("cpu"))

    def known_title(self, item: str) -> tuple[pl.DataFrame, str]:
        """Return a title of the run by id, (1 row), and the part of the split that it is in.

        Raises:
            UserError: The run has no title with this id.
        """
        titles = self.corpus.titles
        rows = np.flatnonzero((titles["item_id"].cast(pl.String) == item).to_numpy())
        if not len(rows):
            examples = ", ".join(map(str, titles["item_id"].head(3)))
            raise UserError(f"--item {item}: the run has no title with this id; it has, for example, {examples}")
        parts: Mapping[str, NDArray[np.int64]] = {name: getattr(self.corpus, name) for name in ("train", "val", "test")}
        part = next((name for name, index in parts.items() if rows[0] in index), "")
        return titles[rows], part

    def new_title(self, path: Path) -> pl.DataFrame:
        """Return the title in a file, (1 row).

        Raises:
            UserError: The file cannot be read, or has no title or several.
        """
        rows = read_one_row(path)
        if "synopsis" not in rows.columns:
            rows = rows.with_columns(synopsis=pl.lit(None, pl.String))
        try:
            rows = with_absolute_paths(model_rows(path, rows, columns_read_by(self.model)), path.parent)
            return titles_of(rows, cut_at=self.model.cut_texts_at)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def with_training(self, title: pl.DataFrame, train: pl.DataFrame) -> pl.DataFrame:
        """Return a title followed by training titles, with the columns of the latter."""
        columns = [name for name in title.columns if name in train.columns]
        casts = [pl.col(name).cast(train.schema[name]) for name in columns]
        return pl.concat([title.select(casts), train], how="diagonal")


def corpus_of(run: Path) -> Any:
    """Return the data of a run, split as in the run; its config may name classes of anirec only."""
    config = config_of(read_run(run), trust=False)
    data = instantiate_node(config.dataset, split=instantiate_node(config.split), cache=config.paths.cache)
    data.load()
    return data


def read_one_row(path: Path) -> pl.DataFrame:
    """Return the only row of a file.

    Raises:
        UserError: The file cannot be read, or has several rows.
    """
    select_format(path, READERS)
    rows = read_rows(path)
    if len(rows) > 1:
        raise UserError(f"{path}: expected one row, found {len(rows)}; predictions of many: anirec predict")
    return rows


def names_of(title: Mapping[str, Any], n: int) -> list[str]:
    """Return the name of each of a title's n characters; "character 3" where it is unknown, "poster" for the poster."""
    names = list(title.get("names") or [])
    is_poster = bool(names) and len(title.get("characters") or []) == n and (title["characters"] or [None])[-1] is None
    filled = [names[i] if i < len(names) and names[i] else f"character {i + 1}" for i in range(n)]
    return [*filled[:-1], "poster"] if is_poster and n else filled
