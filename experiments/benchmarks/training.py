"""Timing of trainings, of their epochs, and of function calls."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from anirec.lightning import Callback, Trainer, seed_everything


class EpochSeconds(Callback):
    """Measure the wall time of each training epoch, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def train(
    model: Any,
    data: Any,
    *,
    epochs: int = 1,
    callbacks: tuple[Callback, ...] = (),
    device: str = "cpu",
    **settings: Any,
) -> Trainer:
    """Fit without validation, logging and checkpoints; `settings` are those of the trainer, such as precision."""
    seed_everything(1, verbose=False)
    trainer = Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        max_epochs=epochs,
        limit_val_batches=0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )
    trainer.fit(model, datamodule=data)
    model.eval()
    return trainer


def epochs_of(model: Any, data: Any, *, epochs: int) -> list[float]:
    """Train, and return the seconds of each epoch."""
    timer = EpochSeconds()
    train(model, data, epochs=epochs, callbacks=(timer,))
    return timer.seconds


def seconds(call: Callable[[], object], *, repeat: int = 1) -> list[float]:
    """Call a function `repeat` times, and return the seconds of each call."""
    took = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return took


def side_by_side(ours: Callable[[], list[float]], theirs: Callable[[], list[float]]) -> tuple[float, float]:
    """Return median seconds. Ours runs before and after theirs, so that a drift of the machine's load cancels."""
    before, reference, after = ours(), theirs(), ours()
    return median(before + after), median(reference)
