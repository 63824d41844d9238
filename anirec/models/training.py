"""Optimiser, learning rates, schedule and batch size of networks. Precision and devices are settings of the trainer."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from anirec.errors import UserError
from anirec.models.base import Model
from anirec.models.row_updates import catch_up_rows, update_rows
from anirec.settings import Configurable, NonNegative, Positive, PositiveInt, Share

NEGLIGIBLE = 1e-8  # relative size of a skipped update, compared with the first one, that is ignored
SPARE = 1024  # steps for which a clock is extended at a time, and then in proportion to its length


class RowClock:
    """The steps of one table since all of its rows were last up to date.

    A row that has taken s of these steps must still move by `distance[s]`, in units of the first moment divided by the
    root of the second moment. With each step that unit shrinks by `ratio` < 1, the decay rate of the first moment over
    the root of that of the second, so that a step changes the distances of the last `window` steps only.

    Args:
        n_rows: Rows of the table.
        n_before: Steps of the optimiser before these.
        ratio: Decay of the unit of movement per step.

    Attributes:
        done: Number of these steps that each row has taken, int64 (n,).
        n_steps: Number of these steps.
        distance: Movement that is due to a row after each number of steps, without later weight decay, float64.
        kept: Logarithm of the factor by which weight decay has shrunk a parameter after each number of steps, float64.
    """

    def __init__(self, n_rows: int, n_before: int, ratio: float) -> None:
        self.done = np.zeros(n_rows, np.int64)
        self.n_before, self.n_steps = n_before, 0
        self.window = math.ceil(math.log(NEGLIGIBLE) / math.log(ratio))
        self.units = ratio ** np.arange(self.window, 0, -1, dtype=np.float64)
        self.distance, self.kept = np.zeros((2, SPARE))

    def tick(self, rate: float, decay: float) -> None:
        """Add a step of size `rate`, bias corrections included, with a factor 1 - `decay` on the parameters."""
        step, self.n_steps = self.n_steps, self.n_steps + 1
        if self.n_steps == len(self.distance):
            longer = SPARE + 2 * len(self.distance)
            self.distance, self.kept = (np.resize(column, longer) for column in (self.distance, self.kept))
            self.distance[self.n_steps :] = 0
        first = max(0, self.n_steps - self.window)
        self.distance[first : self.n_steps] *= 1 - decay
        self.distance[first : self.n_steps] += rate * self.units[first - self.n_steps :]
        self.kept[self.n_steps] = self.kept[step] + math.log1p(-decay)


class RowAdamW(AdamW):
    """AdamW that updates only the rows with a gradient in tables with sparse gradients, which are on the CPU.

    The result equals that of AdamW on the whole table, up to rounding. In AdamW, a row without a gradient still
    changes: its moments decay and continue to move it. Those updates depend on the step sizes only, so they are
    postponed and applied together when the row is next needed. Call `catch_up` before a batch reads rows of a table,
    and `finish` before anything reads the whole table. Parameters with dense gradients are updated by torch.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.clocks: dict[nn.Parameter, RowClock] = {}

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
        """Update the rows that have a gradient."""
        gradient = table.grad.coalesce()  # type: ignore[union-attr]
        rows = gradient.indices()[0]
        self.catch_up(table, rows)
        (beta, beta_square), lr, state = group["betas"], float(group["lr"]), self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        if table not in self.clocks:
            self.clocks[table] = RowClock(len(table), int(state["step"]), beta / math.sqrt(beta_square))
        clock = self.clocks[table]
        state["step"] += 1
        n_steps, decay = clock.n_before + clock.n_steps + 1, lr * group["weight_decay"]
        correction, correction_square = 1 - beta**n_steps, math.sqrt(1 - beta_square**n_steps)
        index, values, *tables = arrays(rows, gradient.values(), table, state["exp_avg"], state["exp_avg_sq"])
        rates = (lr / correction, correction_square, 1 - decay)
        update_rows(index, values, tables[0], tables[1], tables[2], (beta, beta_square, group["eps"]), rates)
        clock.tick(lr * correction_square / correction, decay)
        clock.done[rows.numpy()] = clock.n_steps

    @torch.no_grad()
    def catch_up(self, table: nn.Parameter, rows: Tensor) -> None:
        """Apply the postponed updates of distinct rows (k,)."""
        if (clock := self.clocks.get(table)) is None:
            return
        group = next(group for group in self.param_groups if any(table is one for one in group["params"]))
        state = self.state[table]
        index, *tables = arrays(rows, table, state["exp_avg"], state["exp_avg_sq"])
        now, settings = (clock.n_steps, clock.n_before + clock.n_steps), (*group["betas"], group["eps"])
        columns = (clock.done, clock.distance, clock.kept)
        catch_up_rows(index, tables[0], tables[1], tables[2], *columns, now, settings, clock.window)

    def finish(self) -> None:
        """Bring all rows of all tables up to date."""
        for table in self.clocks:
            self.catch_up(table, torch.arange(len(table)))
        self.clocks.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of AdamW after bringing all rows up to date."""
        self.finish()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.clocks.clear()
        super().load_state_dict(state_dict)


def arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    """Return views of the tensors, which are on the CPU."""
    return [tensor.detach().numpy() for tensor in tensors]


class HeadTraining(Configurable):
    """Training settings of networks without trainable encoders: AdamW with a single learning rate.

    Args:
        epochs: Passes over the training rows; >= 1.
        batch_size: Rows (titles or interactions) per batch and process; >= 1.
        lr_head: Learning rate of randomly initialised parameters; >= 0.
        weight_decay: Weight decay of matrices, >= 0; biases and normalisation parameters have none.
        eps: AdamW's epsilon; > 0.
        schedule: "linear" and "cosine" decrease the learning rate to 0 over the run; "constant" keeps it.
        warmup: Fraction of the steps in which the learning rate first rises from 0; 0 <= warmup < 1.
        clip: Maximum norm of the gradient, > 0; None: no clipping. Applied by the trainer.
        accumulate: Batches per optimiser step; >= 1. Applied by the trainer.
        shuffle: Whether rows are shuffled in every epoch; some publications did not.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
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

    def learning_rate(self, *, in_encoder: bool) -> float:
        """Return the peak learning rate of a parameter."""
        return self.lr_head

    def optimizer(self, encoders: nn.Module, model: nn.Module, *, fused: bool) -> RowAdamW:
        """Return the optimiser of all trainable parameters, grouped by learning rate and weight decay."""
        in_encoders = {id(parameter) for parameter in encoders.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in model.parameters():
            if parameter.requires_grad:
                lr = self.learning_rate(in_encoder=id(parameter) in in_encoders)
                decay = self.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((lr, decay), []).append(parameter)
        if not groups:
            raise UserError("This model has nothing to train: all encoders are frozen and there is no head.")
        parameter_groups: Iterable[dict[str, Any]] = [
            {"params": parameters, "lr": lr, "weight_decay": decay} for (lr, decay), parameters in groups.items()
        ]
        return RowAdamW(parameter_groups, eps=self.eps, fused=fused)

    def scheduler(self, optimizer: torch.optim.Optimizer, n_steps: int) -> LambdaLR:
        """Return the schedule that multiplies the learning rates by `rate_factor` at every step."""
        return LambdaLR(optimizer, lambda step: self.rate_factor(step / max(1, n_steps)))

    def rate_factor(self, progress: float) -> float:
        """Return the factor on the peak learning rate after a fraction of the run, both 0 to 1.

        >>> settings = dict(epochs=1, batch_size=1, lr_head=1, weight_decay=0, eps=1e-8, clip=None, accumulate=1)
        >>> linear = HeadTraining(**settings, schedule="linear", warmup=0.2, shuffle=True)
        >>> [round(linear.rate_factor(p), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        if progress < self.warmup:
            return progress / self.warmup
        done = min(1.0, (progress - self.warmup) / (1 - self.warmup))
        return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[self.schedule]


class Training(HeadTraining):
    """Training settings of networks with encoders: AdamW with one learning rate for encoders and one for the rest.

    Args:
        lr: Learning rate of the pretrained encoders that are not frozen; >= 0.
        **settings: Arguments of `HeadTraining`; `lr_head` is the learning rate of all other parameters.
    """

    def __init__(self, *, lr: NonNegative, **settings: Any) -> None:
        super().__init__(**settings)
        self.lr = lr

    def learning_rate(self, *, in_encoder: bool) -> float:
        return self.lr if in_encoder else self.lr_head


class GradientModel(Model):
    """A model that Lightning trains by gradients.

    Attributes:
        training_settings: Optimiser, epochs and batch size.
        seed: Seed of the run.
    """

    training_settings: HeadTraining
    seed: int

    def on_train_epoch_start(self) -> None:
        """Seed each epoch separately, so that a resumed run draws the same numbers as an uninterrupted one."""
        epoch_seed = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        torch.manual_seed(int(epoch_seed[0]))

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        # A fused optimiser unscales gradients itself, which neither clipping nor sparse gradients allow.
        fused = not str(self.trainer.precision).endswith("mixed")
        optimizer = settings.optimizer(nn.Module(), self, fused=fused)
        schedule = settings.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
