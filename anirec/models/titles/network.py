"""Base class of neural networks that predict title scores, with the training loop they share."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from anirec.data.titles.datamodule import Corpus
from anirec.data.titles.loaders import ShuffledTitles, TitleBatch
from anirec.features.branch import Branch
from anirec.models.titles.base import ScoreModel
from anirec.models.training import HeadTraining
from anirec.settings import PositiveInt

Activation = Literal["tanh", "relu", "gelu", "linear"]
Layers = Mapping[Activation, list[PositiveInt]]
ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": partial(nn.ReLU, inplace=True),  # of the output of a linear layer, which nothing else reads
    "gelu": nn.GELU,
    "linear": nn.Identity,
}


class Network(ScoreModel):
    """Base class of score networks, which define `unit(index)`: scores scaled to 0 to 1 on the training set.

    The loss is the squared error on that scale, as in the publication; predictions are on the scale of the dataset.

    Args:
        branches: Branches by name.
        training: Optimiser, learning rates and batch size.
    """

    matmul_precision: ClassVar[str] = "high"

    def __init__(self, *, branches: Mapping[str, Branch], training: HeadTraining) -> None:
        super().__init__(branches=branches)
        self.training_settings = training

    @abstractmethod
    def unit(self, index: Tensor) -> Tensor:
        """Return scaled scores (B,) of the titles in rows `index` (B,)."""

    def forward(self, batch: TitleBatch) -> Tensor:
        return self.unit(batch.index).float() * self.span + self.low

    def training_step(self, batch: TitleBatch, batch_index: int) -> Tensor:
        loss = self.unit_mse(self(batch), batch.score)
        self.log("train/unit_mse", loss, on_step=False, on_epoch=True, batch_size=len(batch.index), sync_dist=True)
        return loss

    def batches(self, data: Corpus, rank: int, world_size: int) -> Iterable[TitleBatch]:
        self.seed = torch.initial_seed() % 2**32
        lengths = [branch.lengths() for branch in self.branches.values()]  # type: ignore[operator]
        return ShuffledTitles(
            data.train,
            data.score,
            rows=self.training_settings.batch_size,
            lengths=sum(lengths) if lengths else None,
            seed=self.seed,
            epoch=lambda: self.current_epoch,
            shuffled=self.training_settings.shuffle,
            rank=rank,
            world_size=world_size,
        )

    def on_train_epoch_start(self) -> None:
        """Seed each epoch separately, so that a resumed run draws the same dropout as an uninterrupted one."""
        epoch_seed = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(epoch_seed[0]))

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        # Lightning does not clip gradients that a fused optimiser unscales itself.
        fused = settings.clip is None or not str(self.trainer.precision).endswith("mixed")
        optimizer = settings.optimizer(self.branches, self, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = {"scheduler": settings.scheduler(optimizer, steps), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def layers(width: int, hidden: Layers, *, dropout: float) -> tuple[nn.Sequential, int]:
    """Build linear layers with activations and dropout before each; return them and the width of their output.

    >>> stack, width = layers(8, {"tanh": [4, 4], "relu": [2]}, dropout=0.0)
    >>> [type(layer).__name__ for layer in stack], width
    (['Linear', 'Tanh', 'Linear', 'Tanh', 'Linear', 'ReLU'], 2)
    """
    stack: list[nn.Module] = []
    for activation, widths in hidden.items():
        for next_width in widths:
            stack += [nn.Dropout(dropout)] if dropout else []
            stack += [nn.Linear(width, next_width), ACTIVATIONS[activation]()]
            width = next_width
    return nn.Sequential(*stack), width
