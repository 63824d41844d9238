import csv
import struct
import time
from pathlib import Path

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from anirec.tracking.loggers import HistoryLogger, SweepWandbLogger, close_loggers

HEADER, BLOCK = struct.Struct("<IHB"), 1 << 15  # checksum, length, kind; kinds 2 and 3 begin and continue a record
FULL, LAST = 1, 4


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_history_has_a_row_an_epoch_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    logger = HistoryLogger(folder=str(tmp_path))
    logger.log_metrics({"val/rmse": 1.5, "epoch": 0})
    logger.log_metrics({"train/loss": 2.0, "epoch": 0})
    logger.save()
    again = HistoryLogger(folder=str(tmp_path))
    again.log_metrics({"val/rmse": 1.25, "epoch": 1})
    again.save()
    assert [row["val/rmse"] for row in rows(tmp_path)] == ["1.5", "1.25"]
    assert rows(tmp_path)[0]["train/loss"] == "2.0"


def test_the_test_set_is_no_part_of_the_history(tmp_path: Path) -> None:
    logger = HistoryLogger(folder=str(tmp_path))
    logger.log_metrics({"test/rmse": 1.5, "epoch": 1})
    logger.save()
    assert not (tmp_path / "history.csv").exists()


def records(folder: Path) -> list[wandb_internal_pb2.Record]:
    """What an offline run has written: protobuf messages in LevelDB's log format, after seven bytes of W&B's own."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    content, place, message, found = path.read_bytes(), 7, b"", []
    while place < len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        place += HEADER.size
        message += content[place : place + length]
        place += length
        if kind in (FULL, LAST):
            found.append(wandb_internal_pb2.Record.FromString(message))
            message = b""
    return found


def ended(folder: Path) -> list[wandb_internal_pb2.Record]:
    """All records: W&B writes them in a process of its own, which may lag behind."""
    deadline = time.monotonic() + 30
    while True:
        written = records(folder)
        if any(record.HasField("exit") for record in written):
            return written
        assert time.monotonic() < deadline, "the run's end was never written"
        time.sleep(0.1)


@pytest.mark.parametrize("failed", [False, True])
def test_wandb_knows_the_best_value_and_how_the_run_ended(tmp_path: Path, failed: bool) -> None:
    logger = SweepWandbLogger(
        metrics=["rmse", "ndcg@10"], project="p", group="sweep", tags=["a"], save_dir=str(tmp_path), offline=True
    )
    for epoch, value in enumerate([1.5, 1.25, 1.75]):
        logger.log_metrics({"val/rmse": value, "epoch": epoch}, step=epoch)
    close_loggers(failed=failed)
    assert wandb.run is None
    written = ended(tmp_path)
    (run,) = (record.run for record in written if record.HasField("run"))
    assert (run.run_group, list(run.tags)) == ("sweep", ["a"])
    metrics = {record.metric.name: record.metric.summary for record in written if record.HasField("metric")}
    assert metrics["val/rmse"].min
    assert metrics["val/ndcg@10"].max
    (end,) = (record.exit for record in written if record.HasField("exit"))
    assert end.exit_code == int(failed)
