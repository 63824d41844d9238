"""Loggers: history of a run, figures in TensorBoard, and the end of a run."""

import csv
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from anirec.lightning import CSVLogger
from anirec.tracking.loggers import FiguresTensorBoardLogger, HistoryLogger, loggers_of_run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_history_has_a_row_per_epoch_and_continues_after_a_kill(tmp_path: Path) -> None:
    logger = HistoryLogger(folder=str(tmp_path))
    logger.log_metrics({"val/rmse": 1.5, "epoch": 0})
    logger.log_metrics({"train/loss": 2.0, "epoch": 0})
    logger.save()
    again = HistoryLogger(folder=str(tmp_path))
    again.log_metrics({"val/rmse": 1.25, "epoch": 1})
    again.save()
    assert [row["val/rmse"] for row in rows(tmp_path)] == ["1.5", "1.25"]
    assert rows(tmp_path)[0]["train/loss"] == "2.0"


def test_the_history_has_no_test_metrics(tmp_path: Path) -> None:
    logger = HistoryLogger(folder=str(tmp_path))
    logger.log_metrics({"test/rmse": 1.5, "epoch": 1})
    logger.save()
    assert not (tmp_path / "history.csv").exists()


def test_tensorboard_shows_the_figures_of_the_run_folder(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "figures" / "residuals.png")
    with loggers_of_run() as loggers:
        loggers.append(FiguresTensorBoardLogger(folder=str(tmp_path)))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (image,) = events.Images("residuals")
    assert (image.height, image.width) == (4, 6)


def test_loggers_with_an_end_are_ended_also_when_a_run_fails(tmp_path: Path) -> None:
    ended = []

    class EndedLogger(HistoryLogger):
        def end(self) -> None:
            ended.append(self)

    logger = EndedLogger(folder=str(tmp_path))
    with suppress(ZeroDivisionError), loggers_of_run() as loggers:
        loggers += [CSVLogger(str(tmp_path)), logger]
        raise ZeroDivisionError
    assert ended == [logger]
