"""Run folders: status, locks, heartbeat, and which run is resumed."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.tracking import folders as status
from anirec.tracking.folders import LEASE, find_finished, find_unfinished, new_folder, status_of, write_status
from anirec.tracking.run_folder import RunFolder


def folder(path: Path) -> RunFolder:
    return RunFolder(path, config="seed: 1\n", about={"model": "bias"})


def state(path: Path) -> dict[str, object]:
    return json.loads((path / "status.json").read_text())


def test_every_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    assert len({new_folder(tmp_path, "abc") for _ in range(5)}) == 5


def test_status_follows_the_run(tmp_path: Path) -> None:
    with folder(tmp_path):
        assert state(tmp_path)["state"] == "running"
    assert state(tmp_path)["state"] == "finished"
    assert json.loads((tmp_path / "provenance.json").read_text())["wall_seconds"] >= 0


def test_a_failure_is_recorded_and_raised(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), folder(tmp_path):
        raise ZeroDivisionError("on purpose")
    assert state(tmp_path)["state"] == "failed"
    assert state(tmp_path)["error"] == "ZeroDivisionError: on purpose"
    assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_a_user_error_is_recorded_without_its_class(tmp_path: Path) -> None:
    with pytest.raises(UserError), folder(tmp_path):
        raise UserError("no such file")
    assert state(tmp_path)["error"] == "no such file"


def test_an_interruption_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder(tmp_path):
        raise KeyboardInterrupt
    assert state(tmp_path)["state"] == "interrupted"


def resumable(parent: Path, **status: object) -> Path:
    """Make a folder with a checkpoint and the status of a running process, updated by `status`."""
    path = new_folder(parent, "abc")
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "last.ckpt").touch()
    write_status(path, "running", seconds=12.5)
    (path / "status.json").write_text(json.dumps({**state(path), **status}))
    return path


def test_only_an_unfinished_run_with_a_checkpoint_is_resumed(tmp_path: Path) -> None:
    assert find_unfinished(tmp_path, "abc") is None
    with folder(new_folder(tmp_path, "abc")) as done:
        done.last.parent.mkdir()
        done.last.touch()
    assert find_unfinished(tmp_path, "abc") is None
    killed = resumable(tmp_path)
    assert find_unfinished(tmp_path, "other") is None
    assert find_unfinished(tmp_path, "abc") == killed
    assert find_unfinished(tmp_path, "abc") is None  # this process holds its lock now


def test_the_lock_shows_whether_a_process_of_this_machine_is_alive(tmp_path: Path) -> None:
    path = resumable(tmp_path)
    script = f"""
import sys; from pathlib import Path; from anirec.tracking.folders import acquire
assert acquire(Path({str(path)!r})); print("held", flush=True); sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert (status_of(path)["state"], find_unfinished(tmp_path, "abc")) == ("running", None)
    process.kill()
    process.wait()
    assert status_of(path)["state"] == "killed"
    assert find_unfinished(tmp_path, "abc") == path


@pytest.mark.parametrize(("age", "expected"), [(1.0, "running"), (LEASE + 1.0, "killed")])
def test_the_heartbeat_shows_whether_a_process_of_another_machine_is_alive(
    tmp_path: Path, age: float, expected: str
) -> None:
    path = resumable(tmp_path, host="elsewhere", machine="another", heartbeat=time.time() - age)
    assert status_of(path)["state"] == expected
    assert find_unfinished(tmp_path, "abc") == (path if expected == "killed" else None)


def test_a_run_renews_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "BEAT", 0.01)
    with folder(tmp_path):
        first = state(tmp_path)["heartbeat"]
        deadline = time.monotonic() + 10
        while state(tmp_path)["heartbeat"] == first:
            assert time.monotonic() < deadline
    assert state(tmp_path)["state"] == "finished"


def test_a_resumed_run_counts_the_seconds_of_all_its_work(tmp_path: Path) -> None:
    path = resumable(tmp_path)
    with folder(path):
        pass
    assert json.loads((path / "provenance.json").read_text())["wall_seconds"] >= 12.5


def test_a_damaged_status_counts_as_missing(tmp_path: Path) -> None:
    path = resumable(tmp_path)
    (path / "status.json").write_text("")
    assert status_of(path)["state"] == "killed"
    assert find_unfinished(tmp_path, "abc") == path


@pytest.mark.parametrize(
    "damage", [{"seconds": "x"}, {"seconds": float("nan")}, {"heartbeat": [1], "machine": "other"}]
)
def test_damaged_numbers_of_a_status_count_as_none(tmp_path: Path, damage: dict[str, object]) -> None:
    path = resumable(tmp_path, **damage)
    assert status_of(path)["state"] == "killed"
    with folder(path):
        pass
    assert json.loads((path / "provenance.json").read_text())["wall_seconds"] < 60


def test_a_heartbeat_far_in_the_future_is_no_lease(tmp_path: Path) -> None:
    assert status_of(resumable(tmp_path, machine="other", heartbeat=time.time() + 1e6))["state"] == "killed"


def test_a_later_run_that_can_be_resumed_hides_a_finished_one(tmp_path: Path) -> None:
    for name, state in (("1_ab", "finished"), ("2_ab", "interrupted")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "metrics.json").write_text('{"test/rmse": 1}')
        write_status(tmp_path / name, state, seconds=1)
    find = partial(find_finished, tmp_path, "ab", tested=True)
    assert find(since_unfinished=True) == find() == tmp_path / "1_ab"  # the later one has no checkpoint
    (tmp_path / "2_ab" / "checkpoints" / "last.ckpt").touch()
    assert find() == tmp_path / "1_ab"
    assert find(since_unfinished=True) is None
