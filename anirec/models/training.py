"""How a network is trained: optimiser, rates, schedule, batches. Precision, devices and processes are the trainer's."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from anirec.errors import UserError
from anirec.settings import Configurable, NonNegative, Positive, PositiveInt, Share

NEGLIGIBLE = 1e-8  # of a row's first move without a gradient


class Clock:
    """The steps of one table since all of its rows were last up to date.

    Attributes:
        done: int64 (n,): how many of these steps each row has made.
        rates: The step size of each step, bias corrections included.
        kept: The logarithm of what weight decay leaves of a parameter after each number of steps.
    """

    def __init__(self, n_rows: int, device: torch.device) -> None:
        self.done = torch.zeros(n_rows, dtype=torch.int64, device=device)
        self.rates: list[float] = []
        self.kept = [0.0]


class RowAdamW(AdamW):
    """AdamW (Loshchilov & Hutter 2019) that takes sparse gradients, and then changes their rows alone.

    The results are those of AdamW on the whole table, up to rounding. There, a row without a gradient moves on: its
    moments decay, and what is left of them moves it. These moves depend on the step sizes alone, so that they can be
    made in one go when the row is needed again. Call `catch_up` before a batch reads its rows, and `finish` before
    anything reads the whole table. Dense gradients are left to torch.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.clocks: dict[nn.Parameter, Clock] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self.step_rows(table, group)
                    table.grad = None
        super().step()
        return loss

    def step_rows(self, table: nn.Parameter, group: dict[str, Any]) -> None:
        """One step of the rows that have a gradient."""
        gradient = table.grad.coalesce()  # type: ignore[union-attr]
        rows, values = gradient.indices()[0], gradient.values()
        self.catch_up(table, rows)
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), device=table.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        if table not in self.clocks:
            self.clocks[table] = Clock(len(table), table.device)
        clock = self.clocks[table]
        state["step"] += 1
        (beta, beta_square), lr, n_steps = group["betas"], float(group["lr"]), int(state["step"])
        left, left_square = 1 - beta**n_steps, math.sqrt(1 - beta_square**n_steps)
        mean = state["exp_avg"][rows].lerp_(values, 1 - beta)
        square = state["exp_avg_sq"][rows].mul_(beta_square).addcmul_(values, values, value=1 - beta_square)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        moved = mean.mul_(-lr / left).div_(square.sqrt_().div_(left_square).add_(group["eps"]))
        table[rows] = moved.add_(table[rows], alpha=1 - lr * group["weight_decay"])
        clock.rates.append(lr * left_square / left)
        clock.kept.append(clock.kept[-1] + math.log1p(-lr * group["weight_decay"]))
        clock.done[rows] = len(clock.rates)

    @torch.no_grad()
    def catch_up(self, table: nn.Parameter, rows: Tensor) -> None:
        """Make the steps that distinct rows (k,) have missed, none of which had a gradient."""
        if (clock := self.clocks.get(table)) is None:
            return
        rows = rows[clock.done[rows] < len(clock.rates)]
        if not len(rows):
            return
        group = next(group for group in self.param_groups if any(table is one for one in group["params"]))
        beta, beta_square = group["betas"]
        since, place = clock.done[rows].unique(return_inverse=True)
        missed = (len(clock.rates) - since)[place, None]
        reach, kept = moves(clock, since, beta / math.sqrt(beta_square))
        state = self.state[table]
        mean, square = state["exp_avg"][rows], state["exp_avg_sq"][rows]
        n_steps = float(state["step"]) - len(clock.rates) + since + 1
        eps = group["eps"] * (1 - beta_square**n_steps).sqrt()
        direction = mean / (square.sqrt() + eps[place, None].to(table))
        table[rows] = table[rows] * kept.to(table)[place, None] - reach.to(table)[place, None] * direction
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean * beta**missed, square * beta_square**missed
        clock.done[rows] = len(clock.rates)

    def finish(self) -> None:
        """Bring all rows of all tables up to date."""
        for table, clock in self.clocks.items():
            self.catch_up(table, torch.arange(len(table), device=clock.done.device))
        self.clocks.clear()

    def state_dict(self) -> dict[str, Any]:
        """The state of AdamW; all rows are brought up to date first."""
        self.finish()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.clocks.clear()
        super().load_state_dict(state_dict)


def moves(clock: Clock, since: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """How far rows that have made `since` (k,) steps have moved by now, and what weight decay has left of them.

    Both are float64 (k,); the first is in units of the first moment over the root of the second. That unit shrinks
    with each step, by `ratio` < 1: the decay of the first moment over the root of the decay of the second.
    """
    rates, kept = (
        torch.tensor(column, dtype=torch.float64, device=since.device) for column in (clock.rates, clock.kept)
    )
    n_terms = min(len(rates) - int(since.min()), math.ceil(math.log(NEGLIGIBLE) / math.log(ratio)))
    after = torch.arange(n_terms, device=since.device)
    step = since[:, None] + after
    shrunk = ratio ** (after + 1.0).double() * (step < len(rates))
    step = step.clamp(max=len(rates) - 1)
    return (rates[step] * shrunk * (kept[-1] - kept[step + 1]).exp()).sum(1), (kept[-1] - kept[since]).exp()


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
