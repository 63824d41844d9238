"""`anirec reproduce`: re-runs of a finished run, and the comparison of their metrics."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import SMALL, Anirec, content, runs


@pytest.fixture(scope="module")
def trained(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, which tests copy."""
    folder = tmp_path_factory.mktemp("reproduce")
    anirec_in(folder)("run", *SMALL, "model=svd", "metrics=ratings_only", "tags=[mine]", "logger=tensorboard")
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "outputs", tmp_path / "outputs")
    return runs(tmp_path)[0]


def test_a_run_is_reproduced_to_the_last_digit_from_any_folder(anirec: Anirec, run: Path, tmp_path: Path) -> None:
    moved = run.rename(tmp_path / "mailed")
    output = anirec("reproduce", str(moved)).stdout
    n = len(content(moved, "metrics.json"))
    assert f"{n} of {n} metrics are equal" in output
    assert "What differs" not in output
    (again,) = runs(tmp_path, "svd")
    assert (again / "metrics.json").read_text() == (moved / "metrics.json").read_text()
    provenance = content(again, "provenance.json")
    assert provenance["reproduces"] == str(moved)
    assert (provenance["seed"], provenance["tags"]) == (42, ["mine"])
    assert str(again / "checkpoints") in (again / "config.yaml").read_text()


def test_differences_are_listed_and_set_the_exit_status(anirec: Anirec, run: Path) -> None:
    output = anirec("reproduce", str(run), "model.n_factors=3", "dataset.source.seed=1", expect=1).stdout
    assert output.startswith("different data: fingerprint")
    assert "config: model.n_factors 80 then, 3 now" in output
    assert "test/rmse" in output


def test_runs_that_cannot_be_reproduced_are_rejected(anirec: Anirec, run: Path, tmp_path: Path) -> None:
    assert "did you mean model.n_factors?" in anirec("reproduce", str(run), "model.n_factor=3", expect=2).stderr
    assert "No run in " in anirec("reproduce", str(tmp_path), expect=2).stderr
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("anirec.data.splits.rows.Random", "os.system"))
    output = anirec("reproduce", str(run), expect=2).stderr
    assert "split names os.system" in output
    assert "--trust" in output
    assert len(runs(tmp_path)) == 1
