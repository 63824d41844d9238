"""Mistakes in a config are reported before any work, all at once, with the closest valid name."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from anirec.config.validate import validate
from anirec.errors import UserError

from .conftest import Anirec


def test_the_installed_script(tmp_path: Path) -> None:
    """The script `anirec` in the environment, as a shell runs it."""
    line = [Path(sysconfig.get_path("scripts")) / "anirec", "validate", "model=popularty"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean popularity?" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_problems_are_reported_at_once(anirec: Anirec) -> None:
    wrong = ["model=popularty", "modl=1", "seed=a", "split.tset=1", "metrics.names=[rsme]", "objective=test/rmse"]
    output = anirec("validate", *wrong, expect=2).stderr
    for words in (
        "did you mean popularity?",
        "did you mean model?",
        "seed='a': expected int, not str",
        "did you mean split.test?",
        "did you mean rmse?",
        "the test set must not be used to choose",
    ):
        assert words in output


def test_unknown_and_mistyped_arguments(anirec: Anirec) -> None:
    output = anirec("validate", "+model.dampin=1", "model.damping=high", expect=2).stderr
    assert "Popularity has no such argument; did you mean damping?" in output
    assert "model.damping='high': expected float, not str" in output


def test_ranges_of_settings(anirec: Anirec) -> None:
    wrong = ["model=ease", "model.reg=0", "split.seed=-1", "seed=null", "sweep.skip_done=3", "metrics.block=0"]
    output = anirec("validate", *wrong, expect=2).stderr
    for words in (
        "model.reg=0: expected a number > 0",
        "split.seed=-1: expected a number >= 0 and <= 4294967295",
        "seed=None: expected int, not NoneType",
        "sweep.skip_done=3: expected bool, not int",
        "metrics.block=0: expected a number >= 1",
    ):
        assert words in output


def test_settings_of_base_classes_are_checked(anirec: Anirec) -> None:
    wrong = ["model=ncf", "model.dropout=2", "model.objective=warp", "++model.training.lr=1", "+model.foo=1"]
    output = anirec("validate", *wrong, expect=2).stderr
    for words in (
        "model.dropout=2: expected a number >= 0 and < 1",
        "model.objective='warp': expected one of mse, mae, bpr, softmax",
        "model.training.lr: HeadTraining has no such argument",
        "model.foo: NCF has no such argument",
    ):
        assert words in output


def test_a_split_that_needs_columns_the_dataset_lacks(anirec: Anirec) -> None:
    output = anirec("validate", "split=temporal", "dataset=mal_2016", expect=2).stderr
    assert "needs timestamp, which dataset=mal_2016 lacks" in output
    assert "mal_2018" in output


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["lr=0.01"], "did you mean model.lr, a key of model=svd?"),
        (["model=svd", "lr=0.01"], "did you mean model.lr?"),
        (["model=svd", "+lr=0.01"], "did you mean model.lr?"),
        (["model=svd", "model.epoch=3"], "did you mean model.epochs?"),
        (["model=ncf", "model.lr_head=0.1"], "did you mean model.training.lr_head?"),
        (["model=svd", "model.training.epochs=1"], "did you mean model.epochs?"),
        (["model=bias", "model.training.epochs=1"], "a key of model=bert, bpr, elsa and"),
        (["models=svd"], "did you mean model?"),
        (["launcher=local"], "did you mean hydra/launcher?"),
    ],
)
def test_an_unknown_key_is_looked_for_in_all_sections(overrides: list[str], hint: str) -> None:
    with pytest.raises(UserError) as error:
        validate(overrides)
    assert hint in str(error.value)


def test_an_objective_without_validation(anirec: Anirec) -> None:
    assert "split.val=0 leaves no validation rows" in anirec("validate", "split.val=0", expect=2).stderr
    anirec("validate", "split.val=0", "objective=null")


def test_every_objective_is_checked(anirec: Anirec) -> None:
    anirec("validate", "objective=[val/rmse,val/coverage@10]")
    wrong = ["objective=[val/rsme,test/mae]", "select=best"]
    output = anirec("validate", "-m", *wrong, expect=2).stderr
    assert "objective=val/rsme: not a metric of this run; did you mean val/rmse?" in output
    assert "objective=test/mae: the test set must not be used to choose" in output
    assert "needs a single objective" in output
    output = anirec("validate", "objective=[val/rmse,val/rmse]", expect=2).stderr
    assert "expected a metric, a list of different metrics, or null" in output


def test_all_jobs_of_a_sweep_are_checked(anirec: Anirec) -> None:
    assert "6 jobs, no problems" in anirec("validate", "-m", "model=popularity,bias", "seed=1,2,3").stdout
    output = anirec("run", "-m", "model=popularity,bias", "seed=1,b", expect=2).stderr
    assert "in 2 of 4 jobs" in output


def test_validate_imports_no_heavy_library(anirec: Anirec) -> None:
    imported = anirec("validate", cold=True, PYTHONVERBOSE="1").stderr
    for package in ("torch", "pytorch_lightning", "sklearn", "pandas", "numba"):
        assert f"import '{package}'" not in imported
