"""The number of threads of a process."""

import os
from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info

from anirec import threads
from anirec.threads import set_threads


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
