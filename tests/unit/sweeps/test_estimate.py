"""Estimate of the time that the rest of a sweep will take."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from anirec.sweeps import estimate
from anirec.sweeps.estimate import Estimate
from anirec.tracking.folders import write_status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(estimate, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def end_job(sweep: Path, number: int, at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anirec.tracking.folders.time.time", lambda: at)
    (sweep / f"{number:04d}").mkdir()
    write_status(sweep / f"{number:04d}", "finished", seconds=1)


def test_jobs_that_were_skipped_do_not_count(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Estimate(tmp_path, 10)
    for number, (ended, now) in enumerate([(500, 1001), (600, 1002), (1062, 1062), (1122, 1122)]):
        end_job(tmp_path, number, ended, monkeypatch)
        clock.now = now
        sentence = left.count(number)
        if ended < 1000:
            assert sentence == ""
    assert sentence == "4 of 10 jobs, about 6 min left"


def test_a_short_rest_is_not_worth_a_line(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Estimate(tmp_path, 3)
    end_job(tmp_path, 0, 1020, monkeypatch)
    clock.now = 1020
    assert left.count(0) == ""


def test_the_first_of_several_processes_is_waited_for(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Estimate(tmp_path, 12, at_once=2, word="trials")
    sentences = []
    for number in (0, 1):
        end_job(tmp_path, number, 1600, monkeypatch)
        clock.now = 1600
        sentences.append(left.count(number))
    assert sentences == ["", "2 of 12 trials, about 50 min left"]
