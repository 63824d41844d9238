import json
import subprocess
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.tracking.folders import new_folder, unfinished
from anirec.tracking.run_folder import RunFolder


def folder(path: Path) -> RunFolder:
    return RunFolder(path, config="seed: 1\n", identity={"model": "bias"})


def state(path: Path) -> dict[str, object]:
    return json.loads((path / "status.json").read_text())


def test_no_run_takes_the_folder_of_another(tmp_path: Path) -> None:
    assert len({new_folder(tmp_path, "abc") for _ in range(5)}) == 5


def test_status_follows_the_run(tmp_path: Path) -> None:
    with folder(tmp_path):
        assert state(tmp_path)["state"] == "running"
    assert state(tmp_path)["state"] == "finished"
    assert json.loads((tmp_path / "provenance.json").read_text())["wall_seconds"] >= 0


def test_a_failure_is_recorded_and_goes_on_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), folder(tmp_path):
        raise ZeroDivisionError("on purpose")
    assert state(tmp_path)["state"] == "failed"
    assert state(tmp_path)["error"] == "ZeroDivisionError: on purpose"
    assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_what_the_user_did_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError), folder(tmp_path):
        raise UserError("no such file")
    assert state(tmp_path)["error"] == "no such file"


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder(tmp_path):
        raise KeyboardInterrupt
    assert state(tmp_path)["state"] == "interrupted"


def test_only_an_unfinished_run_with_a_checkpoint_is_gone_on_with(tmp_path: Path) -> None:
    assert unfinished(tmp_path, "abc") is None
    killed, finished = new_folder(tmp_path, "abc"), new_folder(tmp_path, "abc")
    with folder(finished):
        (finished / "checkpoints").mkdir()
        (finished / "checkpoints" / "last.ckpt").touch()
    folder(killed).status("running")
    (killed / "checkpoints").mkdir()
    (killed / "checkpoints" / "last.ckpt").touch()
    assert unfinished(tmp_path, "abc") is None  # it is this very process's
    status = json.loads((killed / "status.json").read_text())
    process = subprocess.Popen(["true"])
    process.wait()
    (killed / "status.json").write_text(json.dumps({**status, "pid": process.pid}))
    assert unfinished(tmp_path, "other") is None
    assert unfinished(tmp_path, "abc") == killed
    assert unfinished(tmp_path, "abc") is None  # taken: another sweep that asks now must not train in it, too
