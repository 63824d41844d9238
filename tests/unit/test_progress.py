"""The status line where there is no terminal."""

import time

import pytest

from anirec import progress
from anirec.progress import StatusLine


def test_work_that_takes_long_prints_its_steps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.01)
    with StatusLine("mal_2016") as status:
        status.step("reading rating.csv")
        deadline = time.monotonic() + 30
        while not (printed := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert printed == "mal_2016: reading rating.csv (0 s)\n"


def test_fast_work_prints_nothing(capsys: pytest.CaptureFixture) -> None:
    with StatusLine("mal_2016") as status:
        status.step("reading rating.csv")
    assert capsys.readouterr().err == ""
