"""Error messages of a run whose config cannot be instantiated."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from anirec.config.compose import conf_folder
from anirec.errors import UserError
from anirec.run import instantiate_node


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.mark.parametrize(
    ("overrides", "part", "message"),
    [
        (["model=ease", "model.reg=0"], "model", "^model.reg=0: expected a number > 0$"),
        (
            ["model=ncf", "model.training.warmup=1"],
            "model",
            "^model.training.warmup=1: expected a number >= 0",
        ),
        (["model=tag_ridge", "model.regressor.alpha=-1"], "model", "^model.regressor: The 'alpha' parameter"),
        (["model=tag_two_part", "model.regressor.classifier.C=-1"], "model", r"^model.regressor.classifier: The 'C'"),
        (
            ["trainer.precision=foo", "trainer.threads=1", "~trainer.threads"],
            "trainer",
            "^trainer: Precision 'foo' is invalid",
        ),
    ],
)
def test_errors_name_the_config_key(overrides: list[str], part: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        instantiate_node(composed(*overrides)[part])
