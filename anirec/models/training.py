"""How a network is trained: optimiser, rates, schedule, batches. Precision, devices and processes are the trainer's."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from anirec.errors import UserError
from anirec.models.row_adamw import RowAdamW
from anirec.settings import Configurable, NonNegative, Positive, PositiveInt, Share


class HeadTraining(Configurable):
    """AdamW (Loshchilov & Hutter 2019) at one rate, for networks without an encoder of their own.

    Args:
        epochs: Passes over the training rows; >= 1.
        batch_size: Rows (titles, or interactions) a step and process; >= 1.
        lr_head: Rate of everything that starts from nothing; >= 0.
        weight_decay: Of matrices; offsets and norms have none; >= 0.
        eps: AdamW's; > 0.
        schedule: How the rates fall to 0 over the run; `constant` keeps them.
        warmup: Share of the steps in which the rates rise from 0 first; 0 <= warmup < 1.
        clip: Largest norm of the gradient, > 0; None for any. Read by the trainer.
        accumulate: Batches a step; >= 1. Read by the trainer.
        shuffle: False takes the rows in the same order in every epoch, as some publications did.
    """

    def __init__(
        self,
        *,
        epochs: PositiveInt,
        batch_size: PositiveInt,
        lr_head: NonNegative,
        weight_decay: NonNegative,
        eps: Positive,
        schedule: Literal["linear", "cosine", "constant"],
        warmup: Share,
        clip: Positive | None,
        accumulate: PositiveInt,
        shuffle: bool,
    ) -> None:
        self.epochs, self.batch_size, self.lr_head = epochs, batch_size, lr_head
        self.weight_decay, self.eps, self.schedule, self.warmup = weight_decay, eps, schedule, warmup
        self.clip, self.accumulate, self.shuffle = clip, accumulate, shuffle

    def rate(self, *, in_encoder: bool) -> float:
        """The full learning rate of a parameter."""
        return self.lr_head

    def optimizer(self, encoders: nn.Module, model: nn.Module, *, fused: bool) -> RowAdamW:
        """Over all parameters that learn, in groups of equal rate and decay."""
        in_encoders = {id(parameter) for parameter in encoders.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in model.parameters():
            if parameter.requires_grad:
                lr = self.rate(in_encoder=id(parameter) in in_encoders)
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

        >>> settings = dict(epochs=1, batch_size=1, lr_head=1, weight_decay=0, eps=1e-8, clip=None, accumulate=1)
        >>> linear = HeadTraining(**settings, schedule="linear", warmup=0.2, shuffle=True)
        >>> [round(linear.share(p), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        if progress < self.warmup:
            return progress / self.warmup
        done = min(1.0, (progress - self.warmup) / (1 - self.warmup))
        return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[self.schedule]


class Training(HeadTraining):
    """AdamW with a rate for encoders and one for what is new.

    Args:
        lr: Rate of the encoders' own parameters, where they learn; >= 0.
    """

    def __init__(self, *, lr: NonNegative, **settings: Any) -> None:
        super().__init__(**settings)
        self.lr = lr

    def rate(self, *, in_encoder: bool) -> float:
        return self.lr if in_encoder else self.lr_head
