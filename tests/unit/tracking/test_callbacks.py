"""Checkpoints of the last and best epoch, and the training time over resumed runs."""

from pathlib import Path

import pytest
import torch

from anirec.lightning import Callback, LightningModule, Trainer
from anirec.tracking.callbacks import LastAndBest, Stopwatch


class Scripted(LightningModule):
    """A model with given validation scores."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/rmse", self.scores[self.current_epoch])
        self.log("val/ndcg@10", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(scores: list[float], *callbacks: Callback, resumed: Path | None = None) -> None:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=len(scores),
        logger=False,
        callbacks=list(callbacks),
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Scripted(scores), [torch.zeros(1)], [torch.zeros(1)], ckpt_path=resumed, weights_only=True)


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


class Killed(BaseException):
    """Simulates a kill: nothing catches it."""


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
