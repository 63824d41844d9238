"""Jobs of a sweep that repeat others, because their model ignores the seed."""

from itertools import product
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from anirec.config.compose import conf_folder
from anirec.config.repetitions import drop_repetitions


def left_of(*axes: list[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        jobs, notes = drop_repetitions(list(product(*axes)))
    return [tuple(job) for job in jobs], notes


def test_a_model_without_randomness_runs_once_for_all_seeds() -> None:
    jobs, notes = left_of(["model=ease", "model=svd"], ["seed=1", "seed=2", "seed=3"], ["split.seed=1", "split.seed=2"])
    assert jobs == [
        *(("model=ease", "seed=1", f"split.seed={split}") for split in (1, 2)),
        *(("model=svd", f"seed={seed}", f"split.seed={split}") for seed in (1, 2, 3) for split in (1, 2)),
    ]
    assert notes == ["ease gives the same result for every seed and runs once; split.seed varies the data"]


def test_the_keys_that_vary_the_data_are_those_of_the_split() -> None:
    jobs, notes = left_of(["model=bias"], ["split=k_fold"], ["seed=1", "seed=2"])
    assert jobs == [("model=bias", "split=k_fold", "seed=1")]
    assert notes == ["bias gives the same result for every seed and runs once; split.fold and split.seed vary the data"]


@pytest.mark.parametrize(
    "axes",
    [
        [["model=svd"], ["seed=1", "seed=2"]],
        [["model=bias", "model=ease"], ["seed=1"]],
        [["model=bias"], ["split.seed=1", "split.seed=2"]],
        [["model=bias"], ["dataset.source.seed=${seed}"], ["seed=1", "seed=2"]],
        [["model=bias"], ["split.seed=${ seed }"], ["seed=1", "seed=2"]],
        [["model=bias"], ["split.seed=${..seed}"], ["seed=1", "seed=2"]],
    ],
)
def test_other_jobs_are_kept(axes: list[list[str]]) -> None:
    assert left_of(*axes) == (list(product(*axes)), [])


def test_a_subclass_may_add_randomness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noisy.py").write_text(
        "from anirec.models.ratings.popularity import Popularity\n\n\nclass Noisy(Popularity):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    noisy = ["model=popularity"], ["model._target_=noisy.Noisy"], ["seed=1", "seed=2"]
    assert left_of(*noisy) == (list(product(*noisy)), [])
