"""Choice of runs by --where."""

from collections.abc import Callable
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.report.filters import filter_runs
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]


@pytest.fixture
def outputs(write_run: WriteRun, tmp_path: Path) -> Path:
    for n_factors in (20, 40, 80):
        write_run("svd", seed=n_factors, config={"model.n_factors": n_factors})
    write_run("ease", split="per_user", family="b", config={"model": {"_target_": "anirec.models.ease", "reg": 0.5}})
    write_run("svdpp", state="failed", error="no memory")
    return tmp_path


def kept(folder: Path, *conditions: str) -> list[str]:
    runs = filter_runs(read_runs([folder]), conditions)
    return sorted(f"{run.provenance['model']} {run.provenance['seed']}" for run in runs)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["model=svd"], ["svd 20", "svd 40", "svd 80"]),
        (["model=svdpp,ease"], ["ease 1", "svdpp 1"]),
        (["model!=svd"], ["ease 1", "svdpp 1"]),
        (["n_factors>=40"], ["svd 40", "svd 80", "svdpp 1"]),
        (["model.n_factors<40"], ["svd 20"]),
        (["n_factors=20.0"], ["svd 20"]),
        (["n_factors=20,40", "seed>20"], ["svd 40"]),
        (["state=failed"], ["svdpp 1"]),
        (["split=per_user"], ["ease 1"]),
        (["split.test=0.1", "reg=0.5"], ["ease 1"]),
        (["test/rmse<100", "model = SVD", "n_factors > 40"], ["svd 80"]),
        (["relevant_from=null", "model=ease"], ["ease 1"]),
        (["rmse<100", "model=ease"], ["ease 1"]),
    ],
)
def test_runs_that_fulfil_all_conditions_are_kept(outputs: Path, conditions: list[str], expected: list[str]) -> None:
    assert kept(outputs, *conditions) == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("model", "expected key=value"),
        ("modle=svd", "no run has modle; did you mean model"),
        ("model=svdd", "no run matches; did you mean svd?"),
        ("n_factors=7", "no run matches; values of n_factors: 20, 40 and 80"),
        ("n_factors>many", "many is not a number"),
        ("objective.a=x", "no run has objective.a"),
    ],
)
def test_a_wrong_condition_is_explained(outputs: Path, condition: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\\?")):
        kept(outputs, condition)
