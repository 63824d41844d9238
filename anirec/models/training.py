"""How a network is trained: optimiser, rates, schedule, batches. Precision, devices and processes are the trainer's."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from anirec.errors import UserError
from anirec.models.base import at_least
from anirec.models.row_adamw import RowAdamW


class Training:
    """AdamW (Loshchilov & Hutter 2019) with a rate for encoders and one for what is new.

    Args:
        epochs: Passes over the training titles.
        batch_size: Titles a step and process.
        lr: Of the encoders' own parameters.
        lr_head: Of everything that starts from nothing.
        weight_decay: Of matrices; offsets and norms have none.
        eps: AdamW's.
        schedule: How the rates fall to 0 over the run; `constant` keeps them.
        warmup: Share of the steps in which the rates rise from 0 first; 0 <= warmup < 1.
        clip: Largest norm of the gradient; None for any. Read by the trainer.
        accumulate: Batches a step. Read by the trainer.
        shuffle: False shows the titles in the same order in every epoch, as some publications did.
    """

    def __init__(
        self,
        *,
        epochs: int,
        batch_size: int,
        lr: float,
        lr_head: float,
        weight_decay: float,
        eps: float,
        schedule: Literal["linear", "cosine", "constant"],
        warmup: float,
        clip: float | None,
        accumulate: int,
        shuffle: bool,
    ) -> None:
        self.epochs = at_least(1, epochs=epochs)
        self.batch_size = at_least(1, batch_size=batch_size)
        self.lr, self.lr_head = at_least(0, lr=lr), at_least(0, lr_head=lr_head)
        self.weight_decay = at_least(0, weight_decay=weight_decay)
        self.eps, self.clip, self.accumulate, self.shuffle = eps, clip, at_least(1, accumulate=accumulate), shuffle
        if schedule not in ("linear", "cosine", "constant") or not 0 <= warmup < 1:
            raise UserError(
                f"training.schedule={schedule}, training.warmup={warmup}: expected linear, cosine or constant, "
                "and a share of the steps, 0 <= warmup < 1"
            )
        self.schedule, self.warmup = schedule, warmup

    def optimizer(self, encoders: nn.Module, model: nn.Module, *, fused: bool) -> RowAdamW:
        """Over all parameters that learn, in groups of equal rate and decay."""
        in_encoders = {id(parameter) for parameter in encoders.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in model.parameters():
            if parameter.requires_grad:
                lr = self.lr if id(parameter) in in_encoders else self.lr_head
                decay = self.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((lr, decay), []).append(parameter)
        if not groups:
            raise UserError("Nothing in this model learns: all encoders are frozen, and there is no head.")
        made: Iterable[dict[str, Any]] = [
            {"params": parameters, "lr": lr, "weight_decay": decay} for (lr, decay), parameters in groups.items()
        ]
        return RowAdamW(made, eps=self.eps, fused=fused)

    def scheduler(self, optimizer: torch.optim.Optimizer, n_steps: int) -> LambdaLR:
        """The share of each rate at every step."""
        return LambdaLR(optimizer, lambda step: self.share(step / max(1, n_steps)))

    def share(self, progress: float) -> float:
        """Of the full rate, after that share of the run.

        >>> settings = dict(epochs=1, batch_size=1, lr=1, lr_head=1, weight_decay=0, eps=1e-8, clip=None, accumulate=1)
        >>> linear = Training(**settings, schedule="linear", warmup=0.2, shuffle=True)
        >>> [round(linear.share(p), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        if progress < self.warmup:
            return progress / self.warmup
        done = min(1.0, (progress - self.warmup) / (1 - self.warmup))
        return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[self.schedule]
