"""Which runs are the same experiment, which are replicates of it, and which are the same run."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from anirec.config.compose import conf_folder
from anirec.config.identity import Identity, configuration, identity_of
from anirec.config.validate import hydra_overrides, validate
from anirec.errors import UserError
from anirec.models.ratings.als import ALS

FILES = {
    "mal-2016": ("rating.csv", "anime.csv"),
    "mal-2018": ("animelists_cleaned.csv", "AnimeList.csv"),
    "mal-2020": ("animelist.csv", "anime.csv", "anime_with_synopsis.csv"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return dumps(tmp_path / "data")


def dumps(folder: Path) -> Path:
    """Write files with the names of three dumps. Only their content is hashed; nobody parses it."""
    for name, files in FILES.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_text(f"{name} {file}")
    return folder


def identity(data: Path, *overrides: str) -> Identity:
    paths = [f"paths.data={data}", f"paths.cache={data.parent / 'cache'}"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return identity_of(compose("config", ["dataset=mal_2016", *paths, *overrides]))


@pytest.mark.parametrize(
    "overrides",
    [
        ["joined=mal_2018"],
        ["joined=mal_2020"],
        ["dataset.min_user_ratings=5"],
        ["dataset.unrated=keep"],
        ["split=per_user"],
        ["split.test=0.2"],
        ["model=svd"],
        ["model.damping=7"],
        ["callbacks=early_stopping"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.max_epochs=3"],
        ["++trainer.use_distributed_sampler=null"],
        ["objective=null"],
        ["metrics.names=[rmse]"],
    ],
)
def test_settings_that_make_another_experiment(data: Path, overrides: list[str]) -> None:
    assert identity(data, *overrides).experiment != identity(data).experiment


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer=cpu"],
        ["trainer.deterministic=false"],
        ["objective=[rmse]"],
        ["metrics.rank_every=3"],
        ["dataset.checks=warn"],
        ["trainer.devices=2", "trainer.accelerator=gpu"],
        ["paths.outputs=elsewhere"],
        ["logger=tensorboard"],
        ["tags=[a]"],
        ["resume=true", "sweep.skip_done=true"],
        ["select=best"],
        ["~callbacks.progress_bar"],
        ["+trainer.enable_progress_bar=false"],
        ["model.damping=5"],
        ["objective=rmse"],
        ["joined=none"],
    ],
)
def test_settings_that_keep_the_run(data: Path, overrides: list[str]) -> None:
    assert identity(data, *overrides).run == identity(data).run


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=svd", "seed=1"],
        ["split.seed=1"],
        ["split=per_user", "split.seed=1"],
        ["split=k_fold", "split.fold=1"],
        ["split=k_fold", "split.seed=1"],
        ["split=whole_users", "split.seed=1"],
        ["model=surprise_svd", "+model.algorithm.random_state=1"],
    ],
)
def test_seeds_and_folds_make_replicates(data: Path, overrides: list[str]) -> None:
    kept = [one for one in overrides if one.startswith(("split=", "model="))]
    one = identity(data, *kept)
    other = identity(data, *overrides)
    assert other.experiment == one.experiment
    assert other.run != one.run


def test_a_model_without_randomness_has_no_replicates_by_seed(data: Path) -> None:
    assert identity(data, "model=ease", "seed=1").run == identity(data, "model=ease").run
    assert identity(data, "model=ease", "split.seed=1").run != identity(data, "model=ease").run
    assert identity(data, "model=als", "seed=1").run != identity(data, "model=als").run


def test_content_of_files_counts_and_their_folder_does_not(data: Path, tmp_path: Path) -> None:
    elsewhere = dumps(tmp_path / "moved" / "data")
    before = identity(data, "joined=mal_2018")
    assert identity(elsewhere, "joined=mal_2018").run == before.run
    (data / "mal-2016" / "rating.csv").write_text("another dump")
    assert identity(data, "joined=mal_2018").experiment != before.experiment
    (elsewhere / "mal-2018" / "AnimeList.csv").write_text("another dump")
    assert identity(elsewhere, "joined=mal_2018").experiment != before.experiment
    assert identity(elsewhere).experiment == identity(elsewhere, "joined=none").experiment


def test_missing_source_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mal_2016: 2 of 2 files are missing"):
        identity(tmp_path / "data")


def test_generated_data_is_identified_by_its_settings(tmp_path: Path) -> None:
    small = identity(tmp_path, "dataset=demo_ratings", "dataset.source.n_users=100")
    assert small.experiment != identity(tmp_path, "dataset=demo_ratings").experiment
    assert not any(key.startswith("dataset.joined") for key in small.settings)
    assert small.settings["dataset.source"].startswith("demo_ratings-")


def test_a_stored_config_has_the_identity_of_the_run(data: Path) -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", ["dataset=mal_2016", f"paths.data={data}", f"paths.cache={data.parent / 'cache'}"])
    stored: Any = OmegaConf.create(OmegaConf.to_yaml(OmegaConf.merge(config, {"run": {"folder": "a", "name": "b"}})))
    stored.run.folder = "/elsewhere/run"
    assert identity_of(stored).run == identity_of(config).run


@pytest.mark.parametrize(
    "overrides",
    [
        ["split=per_user", "split.seed=1,2"],
        ["dataset=animepop", "model=mean", "split=published", "split.seed=1,2"],
        ["split=k_fold", "split.fold=0,1", "split.seed=1,2"],
        ["split=whole_items", "split.seed=1,2"],
        ["dataset=mal_2016", "model=hybrid", "joined=null,mal_2018"],
        ["dataset=mal_2016", "model=hybrid", "joined=none,mal_2018"],
    ],
)
def test_select_accepts_replicates_and_settings_that_keep_the_rows(overrides: list[str]) -> None:
    assert validate([*overrides, "select=best"]) >= 2


@pytest.mark.parametrize("varied", ["split.test=0.1,0.2", "split=random,per_user", "dataset.min_user_ratings=1,5"])
def test_select_rejects_settings_that_change_the_rows(varied: str) -> None:
    key = varied.partition("=")[0]
    with pytest.raises(UserError, match=f"run one sweep for each value of {key}"):
        validate([varied, "select=best"])


def test_null_is_rewritten_as_the_choice_none() -> None:
    assert hydra_overrides(["joined=null", "seed=1"], is_sweep=False) == ["joined=none", "seed=1"]
    assert hydra_overrides(["joined=null,mal_2018"], is_sweep=True) == ["joined=none,mal_2018"]


def test_the_number_of_devices_counts_where_it_changes_the_steps(data: Path) -> None:
    assert identity(data, "trainer.devices=2").run == identity(data).run
    network = ["model=ncf"]
    assert identity(data, *network, "trainer.devices=2").experiment != identity(data, *network).experiment
    assert identity(data, *network, "trainer=cpu").run == identity(data, *network).run


def test_the_order_of_metrics_does_not_count(data: Path) -> None:
    one, other = identity(data, "metrics.names=[rmse,mae]"), identity(data, "metrics.names=[mae,rmse]")
    assert one.run == other.run


def test_the_choice_of_metrics_makes_no_other_configuration(data: Path) -> None:
    plain = configuration(identity(data).settings)
    assert configuration(identity(data, "metrics.names=[rmse]", "metrics.segments=false").settings) == plain
    assert configuration(identity(data, "metrics.candidates=cold").settings) != plain
    assert configuration(identity(data, "model.damping=7").settings) != plain


def test_select_needs_one_objective() -> None:
    with pytest.raises(UserError, match="one objective"):
        validate(["objective=val/rmse,val/mae", "select=best"])


def test_the_first_unknown_part_of_a_key_is_named() -> None:
    with pytest.raises(UserError, match="no key modle at the top level; did you mean model"):
        validate(["modle.reg=1"])


def test_a_run_of_an_earlier_algorithm_is_another_experiment(data: Path) -> None:
    """The version of an algorithm counts, also in a blend; one that has never changed has none."""
    assert identity(data, "model=als").settings["model.version"] == ALS.version > 0
    assert "model.version" not in identity(data, "model=popularity").settings
    blended = identity(data, "model=blend", "+model@model.models.third=als")
    assert blended.settings["model.models.third.version"] == ALS.version
