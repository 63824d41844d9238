"""`validate` refuses what `run` refuses, with the same words, and no setting is accepted and ignored."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from typer.testing import CliRunner

from anirec.cli import app
from anirec.config.checks import offered_columns, required_columns
from anirec.config.compose import conf_folder, read_choice, to_dict
from anirec.errors import UserError

REFUSED = {
    "model.lr=0.01,0.03 model=svd": "These overrides describe 2 jobs; add -m",
    "trainer.max_epochs=0 model=svd": "trainer.max_epochs=0: expected a number >= 1",
    "trainer.max_epochs=-3 model=svd": "trainer.max_epochs=-3: expected a number >= 1",
    "trainer.precision=banana": "trainer.precision='banana': expected one of 64, 32, 16, transformer-engine",
    "trainer.accelerator=tpuu": "trainer.accelerator='tpuu': expected one of auto, cpu, gpu",
    "trainer.devices=0": "trainer.devices=0: expected a number >= 1",
    "trainer.devices=all": "trainer.devices='all': expected one of auto, -1 | int | list",
    "trainer.gradient_clip_val=-1 model=ncf": "trainer.gradient_clip_val=-1: expected a number > 0",
    "trainer.accumulate_grad_batches=0 model=ncf": "trainer.accumulate_grad_batches=0: expected a number >= 1",
    "+trainer.limit_test_batches=0": "trainer.limit_test_batches=0: expected a number > 0",
    "trainer.gradient_clip_val=1 model=svd": "no effect on model=svd, which has no PyTorch optimiser",
    "trainer.gradient_clip_val=1 model=bias": "no effect on model=bias, which has no PyTorch optimiser",
    "trainer.accumulate_grad_batches=4 model=svdpp": "no effect on model=svdpp, which has no PyTorch optimiser",
    "trainer.max_epochs=5 model=ease": "trainer.max_epochs=5: no effect on model=ease, which is fitted in one epoch",
    "trainer.devices=2 model=svd": "trainer.devices=2: model=svd trains in one process",
    "trainer.devices=2 model=blend": "trainer.devices=2: model=blend trains in one process",
    "model=blend model.epochs=3": "model.epochs=3: expected 20, the largest number of epochs",
    "model=blend model.weights.factors=0.5": "expected values that sum to 1, not 1.2",
    "model=blend ~model.weights.factors model.weights.neighbours=1": "expected one for each of neighbours, factors",
    "model=surprise_svd model.algorithm.n_factors=0": "model.algorithm.n_factors=0: expected a number >= 1",
    "model=surprise_svd model.algorithm.lr_all=0": "model.algorithm.lr_all=0: expected a number > 0",
    "model=tag_ridge model.regressor.alpha=-1": "model.regressor: The 'alpha' parameter of Ridge must be",
    "model=tag_two_part model.regressor.classifier.C=-1": "model.regressor.classifier: The 'C' parameter of",
    "model=ncf model.objective=bpr model.negatives=0": "model.negatives=0: objective=bpr needs at least one",
    "model=ncf model.hidden=[] model.dropout=0.1": "model.dropout=0.1: hidden=[] has no layer for dropout",
    "model=tfidf_ridge model.weights={word:1}": "model.weights: names word; the branches are words",
    "model=fusion model.groups.plot=[]": "expected each branch once: synopsis, descriptions, portraits",
    "model=fusion_synopsis model.branches.synopsis.frozen=true": "tiny has no pretrained weights and must be trained",
    "metrics.names=[rmse,mae,rmse]": "metrics.names: rmse: named more than once",
    "metrics.rank_every=3 objective=val/ndcg@10": "metrics.rank_every=3: objective=val/ndcg@10 needs auto or 1",
    "metrics.max_users=glob(*)": "metrics.max_users=glob(*): no choice fits; glob is for groups",
    "model=glob(svd*)": "These overrides describe 2 jobs; add -m",
    "model=svd --refit": "--refit: no such option",
    "model=svd lr": "lr: missing EQUAL",
    "seed=-1": "seed=-1: expected a number >= 0",
    "seed=9999999999": "seed=9999999999: expected a number >= 0 and <= 4294967295",
    "split.seed=-1": "split.seed=-1: expected a number >= 0",
    "model=tag_ridge dataset=mal_2016": "model=tag_ridge needs tags, which dataset=mal_2016 lacks",
    "model=tfidf_ridge dataset=mal_2016": "model=tfidf_ridge needs synopsis, which dataset=mal_2016 lacks",
}


@pytest.fixture(autouse=True)
def _is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> None:
        pytest.fail(f"run was not refused: {arguments}")

    monkeypatch.setattr("anirec.sweeps.launch.main", fail)


def refusal(verb: str, overrides: str) -> str:
    error = CliRunner().invoke(app, [verb, *overrides.split()]).exception
    assert isinstance(error, UserError), repr(error)
    return str(error)


@pytest.mark.parametrize(("overrides", "words"), REFUSED.items(), ids=REFUSED)
def test_validate_refuses_what_run_refuses(overrides: str, words: str) -> None:
    message = refusal("validate", overrides)
    assert words in message
    assert message == refusal("run", overrides)


def test_wandb_without_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, as wandb reads its settings once."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def validate(*overrides: str) -> str:
        line = [sys.executable, "-m", "anirec", "validate", "logger=wandb", *overrides]
        return subprocess.run(line, capture_output=True, text=True, check=False).stderr

    assert "logger.wandb.offline=false: there is no W&B login on this machine" in validate()
    assert validate("logger.wandb.offline=true") == ""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert "no W&B login" not in validate()


@pytest.mark.parametrize(
    "overrides",
    [
        "trainer=ddp trainer.accelerator=cpu trainer.devices=2",
        "trainer.devices=auto trainer.precision=bf16-mixed trainer.deterministic=warn",
        "model=svd trainer.max_epochs=5",
        "model=als trainer.max_epochs=5",
        "model=ncf trainer.gradient_clip_val=1 trainer.accumulate_grad_batches=2",
        "model=blend model.models.factors.epochs=3",
        "objective=ndcg@10",
    ],
)
def test_settings_that_have_an_effect_are_accepted(overrides: str) -> None:
    assert CliRunner().invoke(app, ["validate", *overrides.split()]).output == "no problems\n"


@pytest.mark.parametrize(
    ("group", "choices"),
    [
        ("model", ["svdpp", "blend", "bert", "fusion_paper", "item_knn_malsugoi", "tag_two_part"]),
        ("split", ["tenths", "temporal"]),
        ("dataset", ["mal_2020", "demo_corpus"]),
    ],
)
def test_columns_of_a_choice_are_those_of_its_composed_config(group: str, choices: list[str]) -> None:
    columns = offered_columns if group == "dataset" else required_columns
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        for choice in choices:
            composed = to_dict(compose("config", [f"{group}={choice}"])[group], resolve=False)
            assert columns(read_choice(group, choice)) == columns(composed)
