"""Base class of all evaluations: collects predictions, computes metrics after each epoch, and logs them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from anirec.artifacts import ArtifactSource
from anirec.errors import UserError
from anirec.lightning import Callback, LightningModule, Trainer, TrainerFn
from anirec.metrics.definition import Kind
from anirec.metrics.names import DECLARED, parse_metrics
from anirec.notices import warn
from anirec.settings import Configurable


class Evaluation(Callback, ArtifactSource, Configurable, ABC):
    """Compute metrics of the predictions that a model's validation and test steps return.

    During training it logs `val/<name>` after each epoch; what an epoch leaves out is logged by `trainer.validate` for
    the epoch of the model, such as the best one. `trainer.validate` and `trainer.test` also fill `metrics`
    (names to float64 values, split first), `tables`, `figures` and `findings` (plain-language sentences).
    In a run with several processes each process evaluates all rows, so nothing is summed over processes.

    Args:
        names: Metrics of `kinds`; the first is shown in the progress bar.
        torchmetrics: Further metrics, by the names under which they are logged: any `torchmetrics.Metric` that takes
            predictions and targets (B,) and returns one number.

    Raises:
        UserError: If a name is wrong; during the run, if the model predicts NaN or infinity, or if a further metric
            does not return one number.
    """

    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, *, names: Sequence[str], torchmetrics: Mapping[str, Any]) -> None:
        self.names = parse_metrics(names, self.kinds)
        if wrong := [name for name in torchmetrics if not name.isidentifier() or name in DECLARED]:
            raise UserError(f"metrics.torchmetrics.{wrong[0]}: expected a name that is not one of anirec's own metrics")
        self.torchmetrics = torchmetrics
        self.metrics: dict[str, float] = {}
        self.batches: list[tuple[Any, ...]] = []
        self.undefined: set[str] = set()
        self.logged: set[tuple[int, str]] = set()  # epochs and metrics
        self.model_epoch = 0

    @abstractmethod
    def collect(self, batch: Any, outputs: Any) -> tuple[Any, ...]:
        """Return what to keep of a batch: tensors (B,), ending with the targets and the predictions."""

    @abstractmethod
    def measure(
        self, trainer: Trainer, model: LightningModule, batches: list[tuple[Any, ...]], split: str, *, is_final: bool
    ) -> dict[str, float]:
        """Compute metrics by name without the split, NaN where undefined.

        `is_final` is True for a finished model, False after each epoch of training.
        """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.model_epoch = trainer.current_epoch

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.model_epoch = checkpoint["epoch"]

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append(self.collect(batch, outputs))

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batches.append(self.collect(batch, outputs))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluate(trainer, pl_module, "test")

    def evaluate(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Compute and log the metrics; keep the results if the model is final."""
        batches, self.batches = self.batches, []
        # Lightning's sanity check runs an untrained model on a few batches.
        if trainer.sanity_checking or not batches:
            return
        is_final = trainer.state.fn != TrainerFn.FITTING
        values = self.measure(trainer, model, batches, split, is_final=is_final) | self.measure_further(batches)
        metrics = self.drop_undefined({f"{split}/{name}": value for name, value in values.items()})
        if is_final:
            self.metrics |= metrics
        if is_final and split == "val":
            self.log_the_rest(trainer, metrics)
            return
        self.logged |= {(trainer.current_epoch, name) for name in metrics}
        log(model, metrics, first=f"{split}/{self.names[0].short}")

    def log_the_rest(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        """Log the requested validation metrics that were not computed in training, in the row of the model's epoch."""
        wanted = {f"val/{name.short}" for name in self.names}
        missing = {name for name in wanted if (self.model_epoch, name) not in self.logged}
        rest = {name: value for name, value in metrics.items() if name in missing}
        for logger in trainer.loggers if rest else []:
            logger.log_metrics({**rest, "epoch": self.model_epoch}, step=trainer.global_step)
            logger.save()

    def measure_further(self, batches: list[tuple[Any, ...]]) -> dict[str, float]:
        """Compute the metrics of torchmetrics on the rows that have a target."""
        if not self.torchmetrics:
            return {}
        target, prediction = (torch.cat([batch[column] for batch in batches]).float().cpu() for column in (-2, -1))
        known = torch.isfinite(target)
        values = {}
        for name, metric in self.torchmetrics.items():
            metric.reset()
            metric.update(prediction[known], target[known])
            value = metric.compute()
            if not isinstance(value, torch.Tensor) or value.numel() != 1:
                raise UserError(f"metrics.torchmetrics.{name}: expected a metric that returns one number, not {value}")
            values[name] = float(value)
        return values

    def drop_undefined(self, metrics: dict[str, float]) -> dict[str, float]:
        """Drop metrics that are NaN, with one warning per name: R² of equal ratings, diversity without genres."""
        undefined = {name for name, value in metrics.items() if np.isnan(value)}
        if undefined - self.undefined:
            warn(f"Undefined on this data and left out: {', '.join(sorted(undefined))}")
        self.undefined |= undefined
        return {name: value for name, value in metrics.items() if name not in undefined}


def check_finite(model: LightningModule, split: str, what: str, is_finite: Any) -> None:
    if not is_finite.all():
        raise UserError(
            f"{type(model).__name__} predicted NaN or infinity for {(~is_finite).sum()} of {len(is_finite)} {split} "
            f"{what}. Training has probably diverged: lower the learning rate or increase the regularisation."
        )


def log(model: LightningModule, metrics: dict[str, float], *, first: str) -> None:
    """Log in float64, so that loggers show the same digits as metrics.json (Apple's GPUs support float32 only)."""
    dtype = torch.float32 if model.device.type == "mps" else torch.float64
    for name, value in metrics.items():
        model.log(name, torch.tensor(value, dtype=dtype), prog_bar=name == first, rank_zero_only=True)
