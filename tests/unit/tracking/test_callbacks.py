"""Checkpoints of the last and best epoch, and the training time over resumed runs."""

import csv
import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import nan
from pathlib import Path

import numba
import pytest
import torch
from rich.console import Console

from anirec.lightning import Callback, LightningModule, Trainer
from anirec.tracking import callbacks
from anirec.tracking.callbacks import LastAndBest, Patience, ProgressBar, Stopwatch
from anirec.tracking.loggers import HistoryLogger


class Scripted(LightningModule):
    """A model with given validation scores."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.log("train/loss", 10.0 * self.scores[self.current_epoch], on_step=False, on_epoch=True)
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/rmse", self.scores[self.current_epoch])
        self.log("val/ndcg@10", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(
    scores: list[float],
    *callbacks: Callback,
    resumed: Path | None = None,
    model: Scripted | None = None,
    logger: HistoryLogger | None = None,
) -> None:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=len(scores),
        logger=logger or False,
        callbacks=list(callbacks),
        num_sanity_val_steps=0,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_model_summary=False,
    )
    trainer.fit(model or Scripted(scores), [torch.zeros(1)], [torch.zeros(1)], ckpt_path=resumed, weights_only=True)


def epochs_saved(
    folder: Path, scores: list[float], objective: str | None, resumed: Path | None = None
) -> dict[str, int]:
    fit(scores, LastAndBest(folder=str(folder), objective=objective), resumed=resumed)
    return {path.stem: torch.load(path, weights_only=True)["epoch"] for path in folder.glob("*.ckpt")}


def test_the_best_epoch_depends_on_the_direction_of_the_metric(tmp_path: Path) -> None:
    scores = [3.0, 1.0, 2.0, 1.5]
    assert epochs_saved(tmp_path / "rmse", scores, "val/rmse") == {"last": 3, "best": 1}
    assert epochs_saved(tmp_path / "ndcg", scores, "val/ndcg@10") == {"last": 3, "best": 0}


def test_without_an_objective_there_is_no_best(tmp_path: Path) -> None:
    assert epochs_saved(tmp_path, [3.0, 1.0], None) == {"last": 1}


def test_nan_is_never_the_best_score(tmp_path: Path) -> None:
    assert epochs_saved(tmp_path, [float("nan"), 2.0, float("nan")], "val/rmse") == {"last": 2, "best": 1}


class Halve(Callback):
    """Changes the weights when training ends."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with torch.no_grad():
            pl_module.weight.mul_(0.5)


@pytest.mark.parametrize(
    ("scores", "objective", "others", "expected"),
    [
        ([3.0, 2.0], "val/rmse", [], True),
        ([2.0, 3.0], "val/rmse", [], False),  # the first epoch is the best
        ([2.0, 3.0], None, [], True),  # the last epoch is used
        ([nan, nan], "val/rmse", [], True),  # as above
        ([3.0, 2.0], "val/rmse", [Halve()], False),
    ],
)
def test_the_best_checkpoint_is_the_model_in_memory_only_if_they_are_equal(
    scores: list[float], objective: str | None, others: list[Callback], expected: bool, tmp_path: Path
) -> None:
    checkpoint, model = LastAndBest(folder=str(tmp_path), objective=objective), Scripted(scores)
    fit(scores, *others, checkpoint, model=model)
    assert checkpoint.is_best_in_memory == expected
    best = tmp_path / "best.ckpt"
    saved = torch.load(best if best.exists() else tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(saved["weight"], model.weight) == expected


def test_a_resumed_run_without_epochs_left_loads_its_best_checkpoint(tmp_path: Path) -> None:
    fit([3.0, 2.0], LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    checkpoint = LastAndBest(folder=str(tmp_path), objective="val/rmse")
    fit([3.0, 2.0], checkpoint, resumed=tmp_path / "last.ckpt")
    assert not checkpoint.is_best_in_memory


def test_a_checkpoint_that_cannot_be_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(content: object, path: Path) -> None:
        path.write_text("half")
        raise OSError("No space left on device")

    fit([3.0], LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space"):
        fit([2.0], LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    assert sorted(tmp_path.iterdir()) == before == [tmp_path / "best.ckpt", tmp_path / "last.ckpt"]


class Killed(BaseException):
    """Simulates a kill: nothing catches it."""


def test_the_history_of_an_epoch_is_written_before_its_checkpoint(tmp_path: Path) -> None:
    """Lightning logs the training metrics of an epoch only after it has been saved."""

    class KilledAfterSaving(LastAndBest):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            super().on_train_epoch_end(trainer, pl_module)
            if trainer.current_epoch == 1:
                raise Killed

    folders, scores = {"folder": str(tmp_path), "objective": "val/rmse"}, [3.0, 2.0, 1.0]
    with pytest.raises(Killed):
        fit(scores, KilledAfterSaving(**folders), logger=HistoryLogger(folder=str(tmp_path)))
    fit(scores, LastAndBest(**folders), resumed=tmp_path / "last.ckpt", logger=HistoryLogger(folder=str(tmp_path)))
    with (tmp_path / "history.csv").open(newline="") as file:
        assert [float(row["train/loss"]) for row in csv.DictReader(file)] == [30.0, 20.0, 10.0]


def test_the_best_checkpoint_survives_a_kill_between_the_two_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, keep = [2.0, 1.0, 1.5, 1.4], LastAndBest.keep_as_best

    def die_at_the_second(self: LastAndBest, last: Path) -> None:
        if self.best["epoch"] == 1:
            raise Killed
        keep(self, last)

    monkeypatch.setattr(LastAndBest, "keep_as_best", die_at_the_second)
    with pytest.raises(Killed):
        epochs_saved(tmp_path, scores, "val/rmse")
    monkeypatch.undo()
    assert epochs_saved(tmp_path, scores, "val/rmse", resumed=tmp_path / "last.ckpt") == {"last": 3, "best": 1}


def test_the_stopwatch_continues_the_time_of_a_checkpoint(tmp_path: Path) -> None:
    checkpoints = LastAndBest(folder=str(tmp_path), objective=None)
    fit([1.0], Stopwatch(), checkpoints)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    content["callbacks"]["Stopwatch"]["seconds"] = 100.0
    torch.save(content, tmp_path / "last.ckpt")
    resumed = Stopwatch()
    fit([1.0, 1.0], resumed, checkpoints, resumed=tmp_path / "last.ckpt")
    assert 100.0 < resumed.seconds < 200.0


class Compiling(Scripted):
    """Compiles a kernel in its first training step."""

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        numba.njit(lambda number: number + 1)(1)
        return super().training_step(batch, index)


def test_compilation_does_not_count_as_training(tmp_path: Path) -> None:
    stopwatch, checkpoints = Stopwatch(), LastAndBest(folder=str(tmp_path), objective=None)
    start = time.perf_counter()
    fit([1.0], stopwatch, checkpoints, model=Compiling([1.0]))
    seconds, whole = stopwatch.seconds, time.perf_counter() - start
    assert stopwatch.compile_seconds > 0
    assert seconds + stopwatch.compile_seconds <= whole + 0.001
    another = Stopwatch()
    fit([1.0], another, checkpoints)
    assert another.compile_seconds == 0


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Output of the progress bar where there is no terminal."""
    output = io.StringIO()
    monkeypatch.setattr(callbacks, "CONSOLE", Console(file=output, soft_wrap=True))
    return output


def test_without_a_terminal_there_is_a_line_for_every_slow_epoch(
    tmp_path: Path, printed: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "LINE_SECONDS", 0.0)
    fit([3.0, 1.0, 2.0], ProgressBar(), LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    *epochs, end = printed.getvalue().splitlines()
    for line, start, value in zip(epochs, ("epoch 1/3", "epoch 2/3", "epoch 3/3"), (3, 1, 2), strict=True):
        assert line.startswith(f"  {start}, ")
        assert line.endswith(f" s, val/rmse {value:.4f}")
    assert end.startswith("  3 epochs in ")
    assert end.endswith("; best: epoch 2, val/rmse 1.0000")


def test_equal_epochs_have_no_best_one(tmp_path: Path, printed: io.StringIO) -> None:
    fit([2.0, 2.0, 2.0], ProgressBar(), LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    assert printed.getvalue().splitlines()[-1].endswith("; all epochs equal: val/rmse 2.0000")


def test_fast_epochs_share_a_line_that_is_the_last_one(tmp_path: Path, printed: io.StringIO) -> None:
    fit([3.0, 2.0, 1.0], ProgressBar(), LastAndBest(folder=str(tmp_path), objective="val/ndcg@10"))
    last, end = printed.getvalue().splitlines()
    assert last.startswith("  epoch 3/3, ")
    assert end.endswith("; best: epoch 1, val/ndcg@10 3.0000")


def test_a_model_of_one_fast_epoch_prints_nothing(tmp_path: Path, printed: io.StringIO) -> None:
    fit([1.0], ProgressBar(), LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    assert printed.getvalue() == ""


def test_the_reason_for_stopping_and_the_best_epoch_are_printed(tmp_path: Path, printed: io.StringIO) -> None:
    patience = Patience(objective="val/rmse", epochs=2, min_delta=0.0)
    fit([3.0, 1.0, 2.0, 2.0, 2.0], ProgressBar(), patience, LastAndBest(folder=str(tmp_path), objective="val/rmse"))
    assert printed.getvalue().splitlines()[-1] == (
        "  stopped after 4 of 5 epochs (val/rmse has not improved for 2 epochs); best: epoch 2, val/rmse 1.0000"
    )


def test_a_terminal_has_a_bar_with_the_same_words_that_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, secondary = os.openpty()
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read_all, primary)
        with os.fdopen(secondary, "w") as terminal:
            monkeypatch.setattr(callbacks, "CONSOLE", Console(file=terminal, soft_wrap=True, highlight=False, width=80))
            fit([3.0, 1.0], ProgressBar(), LastAndBest(folder=str(tmp_path), objective="val/rmse"))
        output = reading.result()
    os.close(primary)
    bar, _, after = output.rpartition("\x1b[2K")  # the bar's line is erased
    assert "epoch 2/2, " in bar
    assert "━" in bar
    assert "━" not in after
    assert "epoch 2/2, " in after
    assert after.rstrip().endswith("; best: epoch 2, val/rmse 1.0000")


def read_all(terminal: int) -> str:
    """Read until the other end is closed, which is an error on Linux and an empty read elsewhere."""
    parts = []
    with suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode()
