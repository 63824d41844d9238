"""Jobs in processes that a cluster has started."""

import platform
import sys
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.sweeps.jobs import work_as_the_sweep
from anirec.sweeps.worker import START_FOLDER


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder, without the modules of the sweep."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_job_works_in_the_folder_of_the_sweep_with_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setenv(START_FOLDER, str(tmp_path / "here"))
    for _ in range(2):  # two jobs in one process
        work_as_the_sweep(["mine"])
    assert Path.cwd() == tmp_path / "here"
    assert sys.path.count(str(tmp_path / "here" / "mine")) == 1


def test_a_host_without_the_folder_of_the_sweep_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(START_FOLDER, str(tmp_path / "missing"))
    with pytest.raises(UserError, match=f"missing: No such file or directory on {platform.node()}"):
        work_as_the_sweep([])
