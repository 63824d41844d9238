"""Base class of models of two stages: the second learns from what the models of the first predict for new rows."""

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, MinLen
from numpy.typing import NDArray
from torch import nn

from anirec.data.ratings.interactions import Interactions
from anirec.data.splits.users import random_ranks
from anirec.errors import UserError
from anirec.lightning import Trainer, seed_everything
from anirec.models.base import RatingModel
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import MemoryBased
from anirec.models.ratings.composite import Composite

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

START = 0.1  # seconds that the training of a model takes on hardly any rows
Folds = Annotated[int, Ge(2)]


class Staged(MemoryBased, Composite):
    """Base class of models that learn from the predictions of other models for rows outside of their training.

    The training rows of each user are dealt to folds. For each fold, all models are trained without its rows, and
    `learn_fold` sees what they predict for these. They are then trained on all training rows, as each would be alone
    for all of its epochs, and `solve_stage` fits the second stage. No validation or test row is read.

    Args:
        models: Models of the first stage by name; any rating models.
        folds: Number of folds that are held out in turn, >= 2. The time of training grows with it.

    Raises:
        UserError: During the run, if it has several processes.
    """

    def __init__(self, *, models: Annotated[Mapping[str, RatingModel], MinLen(1)], folds: Folds) -> None:
        super().__init__(models=models)
        self.folds = folds
        self.untrained = copy.deepcopy(dict(models))

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: the models once for each fold, and once on all rows."""
        costs = [part.cost(counts) for part in self.parts()]
        memory, checkpoint = sum(cost.memory for cost in costs), sum(cost.checkpoint for cost in costs)
        operations = (self.folds + 1) * sum(cost.operations for cost in costs)
        return Cost(memory + checkpoint, checkpoint, operations)

    def seconds(self, counts: Counts) -> float:
        """Return what training of the models takes, and its start, which is most of it on few rows."""
        return (self.folds + 1) * sum(part.seconds(counts) + START for part in self.parts())

    def solve(self) -> None:
        if self.trainer.world_size > 1:
            raise UserError(
                f"{type(self).__name__} trains its models in one process; set trainer.devices=1 and trainer.num_nodes=1"
            )
        seed, data = int(torch.initial_seed() % 2**32), self.data
        for held_out in self.deal(data.train, seed):
            kept = with_training_rows(data, data.train.where(~held_out))
            self.learn_fold(self.train_parts(kept, seed), kept, data.train.where(held_out))
        self.models = nn.ModuleDict(self.train_parts(with_training_rows(data, data.train), seed))
        seed_everything(seed, verbose=False)
        self.solve_stage(data, seed)

    def deal(self, rows: Interactions, seed: int) -> Iterator[NDArray[np.bool_]]:
        """Yield which rows are held out in each fold, (n,) bool."""
        rank = np.empty(len(rows), dtype=np.int64)
        for some, of_user, _ in random_ranks(rows.user, np.random.default_rng(seed)):
            rank[some] = of_user
        yield from self.held_out(rank, np.diff(rows.indptr)[rows.user], rows.user)

    @abstractmethod
    def held_out(
        self, rank: NDArray[np.int64], count: NDArray[np.int64], user: NDArray[np.int32]
    ) -> Iterable[NDArray[np.bool_]]:
        """Return which rows are held out in each fold.

        Args:
            rank: Rank of each row in a random order of its user's rows, (n,).
            count: Number of rows of the row's user, (n,).
            user: The row's user, (n,).
        """

    @abstractmethod
    def learn_fold(self, parts: Mapping[str, Any], kept: "RatingData", held_out: Interactions) -> None:
        """Collect what the second stage learns from a fold.

        Args:
            parts: The models, trained on `kept`.
            kept: The data without the rows of the fold.
            held_out: The rows of the fold.
        """

    @abstractmethod
    def solve_stage(self, data: "RatingData", seed: int) -> None:
        """Fit the second stage to what `learn_fold` collected; the models are trained on all training rows."""

    def train_parts(self, data: "RatingData", seed: int) -> dict[str, Any]:
        return {name: train_part(part, data, seed, self.device) for name, part in self.untrained.items()}


def with_training_rows(data: Any, rows: Interactions) -> Any:
    """Return a copy of the data with other training ratings, for models that are trained inside of a run."""
    inner = copy.copy(data)
    for computed in ("train_and_unrated", "history"):
        vars(inner).pop(computed, None)
    inner.train = rows
    return inner


def train_part(untrained: RatingModel, data: Any, seed: int, device: torch.device) -> RatingModel:
    """Train a copy of a model for all of its epochs, without validation, as a run of its own with this seed would."""
    part = copy.deepcopy(untrained)
    training = getattr(part, "training_settings", None)
    seed_everything(seed, verbose=False)
    trainer = Trainer(
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=1,
        max_epochs=training.epochs if training else getattr(part, "epochs", 1),
        gradient_clip_val=training.clip if training else None,
        accumulate_grad_batches=training.accumulate if training else 1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with torch.enable_grad():
        trainer.fit(part, datamodule=data)
    return part.eval().requires_grad_(False).to(device)
