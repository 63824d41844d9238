"""What every model promises, whatever it learns and however."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from torch import Tensor

from anirec.artifacts import Shown
from anirec.data.ratings.interactions import Interactions, RatingBatch, UserBlocks
from anirec.data.ratings.vocabulary import Vocabulary
from anirec.errors import UserError
from anirec.settings import Configurable

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

PREDICTED_AT_ONCE = 1 << 17  # rows
POPULARITY = 1e-6  # what an item's popularity may add to a ranking score: an order where nothing else gives one


class Model(LightningModule, Shown, Configurable, ABC):
    """A LightningModule whose `forward(batch)` gives one prediction per row, in the data's unit.

    `requires` names the dataset columns it reads; a dataset without them is refused before any work. `replicates` names
    the settings of its YAML, at any depth, that are seeds: runs that differ in them are averaged.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    replicates: ClassVar[frozenset[str]] = frozenset()
    is_allocated = False

    @abstractmethod
    def batches(self, data: Any, rank: int, world_size: int) -> Iterable[Any]:
        """The training batches of one epoch, as this model wants them: this process's share, without repeats."""

    def allocate(self) -> None:
        """Create what has the data's size; called once, when the sizes are known."""

    def configure_model(self) -> None:
        """Lightning calls this before every stage; what was learned in the last one stays."""
        if not self.is_allocated:
            self.allocate()
            self.is_allocated = True

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make room for the saved buffers: some are born in training, or as long as the training set was."""
        self.configure_model()
        learned = {name for name, _ in self.named_parameters()}
        for name, saved in checkpoint["state_dict"].items():
            owner, _, leaf = name.rpartition(".")
            if name not in learned:
                self.get_submodule(owner).register_buffer(leaf, torch.empty_like(saved, device=self.device))

    def provenance(self) -> dict[str, Any]:
        """What of the model's own doing a reader of the results must know; plain values."""
        return {}

    @abstractmethod
    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Predictions for rows that were in no dataset, (n,), and how many of them lack what.

        Args:
            rows: As read from a file.
            cache: Folder for what is computed once.

        Raises:
            UserError: A column is missing or of another type.
        """

    def validation_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)

    def test_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)

    def predict_step(self, batch: Any, batch_index: int) -> Tensor:
        return self(batch)


class SelfTaught(Model):
    """A model that learns inside `training_step`, by counting or by its own kernel: Lightning's optimisers rest."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.automatic_optimization = False

    def configure_optimizers(self) -> None:
        """None."""

    def count_step(self) -> None:
        """Tell Lightning that something was learned: it saves no checkpoint unless its step count has grown."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()


class RatingModel(Model):
    """Predicts what a user would rate an item, and ranks the whole catalogue for a user.

    `n_users` and `n_items` come from the data at `configure_model`, or from the checkpoint. Tables that are looked up
    by user or item have one row more than that: index -1, an unknown id, finds the fallback in the last row.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"user_id", "item_id", "rating"})
    uses_unrated: ClassVar[bool] = False
    block_rows: ClassVar[int] = 1 << 18

    def training_rows(self, data: "RatingData") -> Interactions:
        return data.train_and_unrated if self.uses_unrated else data.train

    def batches(self, data: "RatingData", rank: int, world_size: int) -> Iterable[RatingBatch]:
        return UserBlocks(self.training_rows(data), rows=self.block_rows, rank=rank, world_size=world_size)

    def setup(self, stage: str) -> None:
        self.n_users, self.n_items = self.data.n_users, self.data.n_items

    @property
    def data(self) -> "RatingData":
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sizes"] = {"n_users": self.n_users, "n_items": self.n_items}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.n_users, self.n_items = (
            checkpoint["sizes"]["n_users"],
            checkpoint["sizes"]["n_items"],
        )
        super().on_load_checkpoint(checkpoint)
        ids = checkpoint.get("RatingData", {})
        self.vocabularies = {name: Vocabulary(pl.Series(name, values)) for name, values in ids.items()}

    def predict_rows(self, rows: pl.DataFrame, *, cache: Path) -> tuple[NDArray[np.float32], dict[str, int]]:
        demand(rows, {"user_id", "item_id"})
        user, item = (encoded(self.vocabularies[name], rows[name]) for name in ("user_id", "item_id"))
        nothing = torch.full((len(rows),), float("nan"))
        batches = zip(*(column.split(PREDICTED_AT_ONCE) for column in (user, item, nothing)), strict=True)
        predictions = torch.cat([self(RatingBatch(*batch)) for batch in batches])
        unknown = {"unknown users": int((user < 0).sum()), "unknown titles": int((item < 0).sum())}
        return predictions.numpy(), unknown

    def score_items(self, users: Tensor) -> Tensor:
        """Ranking scores (B, n_items), float; higher is better. `users` is int64 (B,), -1 for unknown.

        Falls back to the predicted rating of every item.
        """
        items = torch.arange(self.n_items, device=users.device)
        nothing = torch.empty(0, device=users.device)
        rows = [self(RatingBatch(user.expand(len(items)), items, nothing)) for user in users]
        return torch.stack(rows)


@runtime_checkable
class FoldsIn(Protocol):
    """A rating model that ranks for people who are in no dump, too: whoever defines `fold_in` is one."""

    def fold_in(self, batch: RatingBatch, n: int) -> Tensor:
        """Ranking scores (n, n_items), as `score_items` gives them, of people who were not in training.

        Args:
            batch: What they have seen: users 0 to n - 1, and ratings that are NaN where there is none. Items of -1 say
                nothing; of a pair that comes twice, the last rating counts.
            n: Number of people; one without a row is ranked for like an unknown user.
        """
        ...


def demand(rows: pl.DataFrame, columns: Collection[str]) -> None:
    """Refuse rows that lack a column."""
    if missing := sorted(set(columns) - set(rows.columns)):
        raise UserError(f"no column {', '.join(missing)}; there are {', '.join(rows.columns)}")


def encoded(vocabulary: Vocabulary, raw: pl.Series) -> Tensor:
    """(n,) int64 indices; -1 for an id that the run does not know."""
    numbers = vocabulary.ids.dtype.is_integer()
    if numbers != raw.dtype.is_integer():
        kind = "whole numbers" if numbers else "text"
        raise UserError(f"column {raw.name} holds {raw.dtype}, expected {kind}, as in the data of this run")
    return torch.from_numpy(vocabulary.encode(raw.cast(vocabulary.ids.dtype)).astype("int64"))
