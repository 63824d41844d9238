"""Which jobs of a multirun are checked before it starts."""

import pytest
from hydra import initialize_config_dir

from anirec.config.compose import conf_folder
from anirec.config.validate import sample_jobs, sweep_axes, validate
from anirec.errors import UserError


def test_a_large_multirun_is_checked_with_all_values_and_all_combinations_of_choices() -> None:
    overrides = ["model=bias,svd,ease", "split=random,k_fold", "seed=1,2,3,4,5,6,7", "split.seed=1,2,3,4,5", "tags=[x]"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        jobs = sample_jobs(sweep_axes(overrides))
    assert len(jobs) == 3 * 2 * 7
    assert {(job[0], job[1], job[2]) for job in jobs} == {
        (f"model={model}", f"split={split}", f"seed={seed}")
        for model in ("bias", "svd", "ease")
        for split in ("random", "k_fold")
        for seed in range(1, 8)
    }
    assert len({(job[0], job[1], job[3]) for job in jobs}) == 3 * 2 * 5
    assert all(job[4] == "tags=[x]" for job in jobs)


def test_all_jobs_of_a_small_multirun_are_checked() -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        assert len(sample_jobs(sweep_axes(["model=bias,svd", "seed=1,2,3", "split.seed=1,2"]))) == 12
    assert validate(["model=bias,svd", "seed=1,2,3", "split.seed=1,2"]) == 12


@pytest.mark.slow
def test_a_blend_needs_the_columns_of_its_models() -> None:
    blend = ["model=blend", "model.models.factors._target_=anirec.models.ratings.transitions.Transitions"]
    with pytest.raises(UserError, match=r"model=blend needs timestamp, which dataset=mal_2016 lacks"):
        validate(["dataset=mal_2016", *blend])
