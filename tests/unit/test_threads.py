"""The number of threads of a process."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from anirec import threads
from anirec.threads import in_threads, set_threads


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    set_threads(before)


def test_a_given_number_is_used_by_every_library_and_by_later_processes() -> None:
    set_threads(3)
    assert torch.get_num_threads() == 3
    assert {pool["num_threads"] for pool in threadpool_info()} == {3}
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("at_start", "expected"), [("2", 2), (None, 5), ("", 5), ("two", 5)])
def test_without_a_number_the_environment_counts_then_the_cores_of_this_process(
    at_start: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 5)
    monkeypatch.setattr(threads, "AT_START", at_start)
    set_threads(4)  # of an earlier job
    set_threads(None)
    assert torch.get_num_threads() == expected
    assert os.environ.get("OMP_NUM_THREADS") == (at_start or None)


@pytest.fixture
def three_threads() -> None:
    torch.set_num_threads(3)


@pytest.mark.usefixtures("three_threads")
def test_every_row_is_done_once_by_threads_that_are_kept() -> None:
    names: set[str] = set()
    meeting = threading.Barrier(3)

    def task(start: int, stop: int) -> None:
        if start < 6:
            meeting.wait(timeout=10)  # all threads take part
        names.add(threading.current_thread().name)
        done[start:stop] += 1

    for _ in range(4):
        done = np.zeros(50)
        in_threads(task, 50, chunk=2)
        assert (done == 1).all()
    assert len(names) == 3


@pytest.mark.usefixtures("three_threads")
def test_tasks_may_use_threads_themselves() -> None:
    done = np.zeros((20, 20))

    def outer(row: int, _: int) -> None:
        in_threads(lambda start, stop: done[row, start:stop].fill(1), 20, chunk=1)

    in_threads(outer, 20, chunk=1)
    assert done.all()


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("wrong", [0, 7])
def test_an_error_ends_the_work_before_it_is_raised(wrong: int) -> None:
    started: list[int] = []

    def task(start: int, _: int) -> None:
        started.append(start)
        time.sleep(0.002)
        if start == wrong:
            raise ValueError(f"task {start}")

    with pytest.raises(ValueError, match=f"task {wrong}"):
        in_threads(task, 1000, chunk=1)
    n = len(started)
    assert n < 1000
    time.sleep(0.02)
    assert len(started) == n
    in_threads(lambda *_: None, 10, chunk=1)  # the threads can be used again


@pytest.mark.usefixtures("three_threads")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_starts_threads_of_its_own() -> None:
    in_threads(lambda *_: None, 10, chunk=1)
    child = os.fork()
    if not child:
        torch.get_num_threads = lambda: 3  # type: ignore[method-assign]
        in_threads(lambda *_: None, 10, chunk=1)
        os._exit(0)
    for _ in range(500):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the process waits for threads that it does not have")
