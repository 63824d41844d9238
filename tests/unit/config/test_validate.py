"""Which jobs of a multirun are checked before it starts."""

from collections import Counter
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from anirec.config import validate as config_validate
from anirec.config.compose import conf_folder
from anirec.config.validate import Composer, sample_jobs, sweep_axes, validate
from anirec.errors import UserError


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count Hydra's compositions and the checks of a config."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def counting(*arguments: Any, **settings: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **settings)

        monkeypatch.setattr(owner, name, counting)

    count(ConfigLoaderImpl, "load_configuration")
    count(config_validate, "check_config")
    return counts


def test_a_large_multirun_is_checked_with_all_values_and_all_combinations_of_choices() -> None:
    overrides = ["model=bias,svd,ease", "split=random,k_fold", "seed=1,2,3,4,5,6,7", "split.seed=1,2,3,4,5", "tags=[x]"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        jobs = sample_jobs(sweep_axes(overrides))
    assert len(jobs) == 3 * 2 + 6 + 2 * 4  # choices, seeds, and the split's seeds with either split
    assert {(job[0], job[1]) for job in jobs} == {
        (f"model={model}", f"split={split}") for model in ("bias", "svd", "ease") for split in ("random", "k_fold")
    }
    assert {job[2] for job in jobs} == {f"seed={seed}" for seed in range(1, 8)}
    assert len({(job[1], job[3]) for job in jobs}) == 2 * 5
    assert all(job[4] == "tags=[x]" for job in jobs)


def test_a_sweep_of_1800_jobs_is_composed_for_each_choice_only(counted: Counter[str]) -> None:
    values = ",".join(f"0.{number:02d}" for number in range(1, 31))
    models = "model=svd,svdpp,ncf,als,item_knn,ease"
    assert validate([models, f"split.test={values}", "seed=1,2,3,4,5,6,7,8,9,10"]) == 1800
    assert counted == {"load_configuration": 6, "check_config": 6 + 29 + 9}


def test_a_run_is_composed_once_to_be_checked(counted: Counter[str]) -> None:
    validate(["model=svd", "model.lr=0.02"])
    assert counted == {"load_configuration": 1, "check_config": 1}


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=svd", "model.lr=0.02", "split.test=0.3", "seed=5"],
        ["model.n_factors=12", "model=svd", "objective=[val/rmse,val/mae]"],
        ["model=hybrid", "dataset=mal_2016", "joined=mal_2018", "dataset.min_user_ratings=3"],
        ["+model.extra=1", "model.damping=2", "~callbacks.progress_bar"],
        ["++model.damping=3", "callbacks=early_stopping", "callbacks.early_stopping.epochs=9"],
        ["model.damping=null", "tags=[a,b]", "metrics.names=[rmse]"],
    ],
)
def test_a_config_is_composed_as_by_hydra(overrides: list[str]) -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composer = Composer()
        composer.compose([one for one in overrides if one.startswith(("model=", "dataset=", "joined=", "callbacks="))])
        assert composer.compose(overrides) == compose("config", overrides)


def test_all_jobs_of_a_small_multirun_are_checked() -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        assert len(sample_jobs(sweep_axes(["model=bias,svd", "seed=1,2,3", "split.seed=1,2"]))) == 12
    assert validate(["model=bias,svd", "seed=1,2,3", "split.seed=1,2"]) == 12


@pytest.mark.slow
def test_a_blend_needs_the_columns_of_its_models() -> None:
    blend = ["model=blend", "model.models.factors._target_=anirec.models.ratings.transitions.Transitions"]
    with pytest.raises(UserError, match=r"model=blend needs timestamp, which dataset=mal_2016 lacks"):
        validate(["dataset=mal_2016", *blend])
