"""Preparation and checks of a stored config, which may be untrusted, before it is run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from anirec.config.compose import conf_folder
from anirec.config.identity import replace_folder
from anirec.errors import UserError
from anirec.inference.reproduce import config_of, output_folder, override, require_valid
from anirec.report.runs import Run

Stored = Callable[..., Run]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Return a function that writes a finished run with some keys of its config changed."""

    def write(**changed: Any) -> Run:
        folder = tmp_path / "there" / "mal_2016" / "svd" / "run"
        folder.mkdir(parents=True)
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = compose(
                "config", ["dataset=mal_2016", "model=svd", f"paths.data={tmp_path}", "logger=tensorboard"]
            )
        config.run.folder, config.run.name = str(folder), "run"
        content = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
        for key, value in changed.items():
            OmegaConf.update(content, key.replace("__", "."), value)
        text = yaml.safe_dump(OmegaConf.to_container(content))
        (folder / "config.yaml").write_text(text)
        return Run(folder, "finished", "", yaml.safe_load(text), {"dataset": "mal_2016", "model": "svd"}, {})

    return write


def test_outputs_and_cache_are_the_current_defaults_and_data_keep_their_folder(stored: Stored, tmp_path: Path) -> None:
    config = config_of(stored(paths__outputs="/elsewhere", paths__cache="/nowhere"), trust=False)
    assert config.paths.outputs == "outputs"
    assert config.paths.cache != "/nowhere"
    assert config.dataset.source.folder == f"{tmp_path}/mal-2016"
    config.run.folder = "/new"
    assert config.callbacks.checkpoint.folder == "/new/checkpoints"
    assert list(config.logger) == ["history"]
    override(config, ["paths.data=/moved", "model.n_factors=7"])
    assert config.dataset.source.folder == "/moved/mal-2016"
    assert require_valid(config).model.n_factors == 7


def test_only_existing_keys_can_be_overridden(stored: Stored) -> None:
    config = config_of(stored(), trust=False)
    with pytest.raises(UserError, match=r"no setting model.n_factor; did you mean model.n_factors\?"):
        override(config, ["model.n_factor=7"])
    with pytest.raises(UserError, match="no setting model; set one of its keys"):
        override(config, ["model=svdpp"])
    with pytest.raises(UserError, match="expected key=value"):
        override(config, ["seed"])
    override(config, ["model.n_factors=-1"])
    with pytest.raises(UserError, match=r"model.n_factors=-1: expected a number >= 1"):
        require_valid(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("split", {"_target_": "os.system", "command": "true"}),
        ("dataset.source", {"_target_": "builtins.open", "file": "/etc/passwd"}),
        ("dataset.joined", {"more": [{"_target_": "subprocess.run"}]}),
        ("trainer.strategy", {"_target_": "subprocess.run"}),
        ("metrics", {"_target_": "anirec.data.splits.rows.Random", "test": 0.1, "val": 0.1, "seed": 1}),
        ("callbacks.more", {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "/"}),
        ("model", {"_target_": "os.system", "command": "true"}),
    ],
)
def test_an_untrusted_config_may_name_only_classes_of_anirec(stored: Stored, key: str, value: Any) -> None:
    run = stored(**{key.replace(".", "__"): value})
    with pytest.raises(UserError, match=r"(?s)not (run|loaded).*--trust"):
        config_of(run, trust=False)
    config_of(run, trust=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("default_root_dir", "/victim"),
        ("profiler", "simple"),
        ("plugins", ["anything"]),
        ("precision", {"more": 1}),
        ("strategy", {"_target_": "pytorch_lightning.Trainer", "max_epochs": 1}),
        ("strategy", {"_target_": "anirec.models.one_pass.DataParallel", "process_group_backend": "gloo"}),
    ],
)
def test_an_untrusted_trainer_may_not_have_settings_that_could_write_files(
    stored: Stored, key: str, value: Any
) -> None:
    run = stored(**{f"trainer__{key}": value})
    with pytest.raises(UserError, match=rf"(?s)trainer\.{key}.*not run\..*--trust"):
        config_of(run, trust=False)
    config_of(run, trust=True)


def test_an_untrusted_trainer_may_be_parallel_and_have_other_numbers(stored: Stored) -> None:
    strategy = {"_target_": "anirec.models.one_pass.DataParallel", "find_unused_parameters": True}
    run = stored(trainer__strategy=strategy, trainer__devices=[0, 1], trainer__limit_train_batches=0.5)
    assert config_of(run, trust=False).trainer.limit_train_batches == 0.5


def test_an_untrusted_run_must_use_the_checkpoint_callback_of_anirec(stored: Stored) -> None:
    run = stored()
    path = run.folder / "config.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "callbacks": {}}))
    with pytest.raises(UserError, match=r"callbacks lack anirec\.tracking\.callbacks\.LastAndBest"):
        config_of(run, trust=False)


def test_an_untrusted_config_cannot_resolve_anything_or_write_elsewhere(stored: Stored, tmp_path: Path) -> None:
    run = stored(callbacks__checkpoint__folder=str(tmp_path / "secret"), run__folder="/")
    config = config_of(run, trust=False)
    config.run.folder = "/new"
    assert config.callbacks.checkpoint.folder == "/new/checkpoints"
    path = run.folder / "config.yaml"
    path.write_text(path.read_text().replace("seed: 42", "seed: ${oc.env:HOME}", 1))
    with pytest.raises(UserError, match=r"\$\{oc.env:HOME\} is not resolved; the run was not started"):
        config_of(run, trust=True)
    path.write_text("[]")
    with pytest.raises(UserError, match="not a config of a run"):
        config_of(run, trust=False)


def test_names_in_an_untrusted_provenance_cannot_lead_outside_the_outputs(stored: Stored) -> None:
    run = stored()
    config = config_of(run, trust=False)
    run.provenance["model"] = "../../../../tmp"
    with pytest.raises(UserError, match="is outside"):
        output_folder(config, run)


def test_paths_below_a_moved_folder_are_replaced() -> None:
    assert replace_folder(["/old", "/old/a", "/older", 1], "/old/", "/new") == ["/new", "/new/a", "/older", 1]
    assert json.dumps(replace_folder({"folder": "data/x"}, "data", "${d}")) == '{"folder": "${d}/x"}'
