"""Every `anirec run` and `anirec validate` that a reader is shown composes."""

import re
import shlex
from pathlib import Path

import pytest

from anirec.cli import split_arguments
from anirec.composition import conf_folder
from anirec.config import validate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
YAML = [path.read_text() for path in sorted(conf_folder().rglob("*.yaml"))]
COMMAND = re.compile(r"anirec (?:run|validate) ([^`#\n(]+)")
COMMANDS = sorted({found.strip() for text in (README, *YAML) for found in COMMAND.findall(text)})
OWN = ("slope_one", "tag_svr", "--help")  # what the reader is about to write; what needs no config


@pytest.mark.parametrize("command", [command for command in COMMANDS if not any(word in command for word in OWN)])
def test_commands_compose(command: str) -> None:
    overrides, config_dir, _ = split_arguments(shlex.split(command))
    assert validate(overrides, config_dir=config_dir) > 0


def test_the_newcomers_models_compose(tmp_path: Path) -> None:
    """Every YAML of "Add a model", word for word."""
    yamls = re.findall(r"```yaml\n(.+?)```", README, flags=re.DOTALL)
    (tmp_path / "mine ü" / "model").mkdir(parents=True)
    for yaml in yamls:
        (name,) = re.findall(r"anirec run model=(\w+)", yaml)
        (tmp_path / "mine ü" / "model" / f"{name}.yaml").write_text(yaml)
        assert validate([f"model={name}"], config_dir=str(tmp_path / "mine ü")) == 1
    assert len(yamls) == 2
