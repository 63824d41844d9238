"""What every evaluation shares: it collects what a model predicts, measures it once an epoch, and logs it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from anirec.artifacts import ArtifactSource
from anirec.errors import UserError
from anirec.metrics.definition import Kind
from anirec.metrics.names import checked
from anirec.notices import warn
from anirec.settings import Configurable


class Evaluation(Callback, ArtifactSource, Configurable, ABC):
    """Measures the predictions that a model's validation and test steps return.

    During training it logs `val/<name>` after each epoch. `trainer.validate` and `trainer.test` also fill `metrics`
    (names to float64 values, split first), `tables`, `figures` and `findings` (sentences for people).
    In a run of several processes each evaluates everything, so nothing is summed over them.

    Args:
        names: Metrics of `kinds`; the first is shown in the progress bar.

    Raises:
        UserError: If a name is wrong; while running, if the model predicts what is not a finite number.
    """

    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, *, names: Sequence[str]) -> None:
        self.names = checked(names, self.kinds)
        self.metrics: dict[str, float] = {}
        self.batches: list[tuple[Any, ...]] = []
        self.undefined: set[str] = set()

    @abstractmethod
    def collected(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        """What to keep of a batch: tensors (B,), last the targets and the predictions."""

    @abstractmethod
    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        """Values by their names without the split, NaN where undefined; `is_final`: not one epoch of many."""

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append(self.collected(batch, outputs))

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append(self.collected(batch, outputs))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "test")

    def evaluate(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Measure and log; keep the results unless this is one epoch of many."""
        batches, self.batches = self.batches, []
        # A sanity check runs an untrained model on a few batches.
        if trainer.sanity_checking or not batches:
            return
        is_final = trainer.state.fn != TrainerFn.FITTING
        values = self.measure(trainer, model, batches, split, is_final=is_final)
        metrics = self.defined({f"{split}/{name}": value for name, value in values.items()})
        if is_final:
            self.metrics |= metrics
        if is_final and split == "val":
            return  # the epoch that made this model has logged it
        log(model, metrics, first=f"{split}/{self.names[0].short}")

    def defined(self, metrics: dict[str, float]) -> dict[str, float]:
        """Without NaN, which is said once: R² of equal ratings, the diversity of items without genres."""
        undefined = {name for name, value in metrics.items() if np.isnan(value)}
        if undefined - self.undefined:
            warn(f"Undefined on this data and therefore left out: {', '.join(sorted(undefined))}")
        self.undefined |= undefined
        return {name: value for name, value in metrics.items() if name not in undefined}


def check_finite(model: LightningModule, split: str, what: str, is_finite: Any) -> None:
    if not is_finite.all():
        raise UserError(
            f"{type(model).__name__} gave NaN or infinity for {(~is_finite).sum()} of {len(is_finite)} {split} {what}. "
            "Its training has probably diverged: lower the learning rate or raise the regularisation."
        )


def log(model: LightningModule, metrics: dict[str, float], *, first: str) -> None:
    """Log in float64, so that loggers show the digits of metrics.json (Apple's GPUs have none)."""
    dtype = torch.float32 if model.device.type == "mps" else torch.float64
    for name, value in metrics.items():
        model.log(name, torch.tensor(value, dtype=dtype), prog_bar=name == first, rank_zero_only=True)
