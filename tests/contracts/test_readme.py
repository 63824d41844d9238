"""Every `anirec run` and `anirec validate` that a reader is shown composes."""

import re
import shlex
from pathlib import Path

import pytest

from anirec.cli import split_arguments
from anirec.composing.composition import conf_folder
from anirec.composing.config import validate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
YAML = [path.read_text() for path in sorted(conf_folder().rglob("*.yaml"))]
COMMAND = re.compile(r"anirec (?:run|validate) ((?:[^`#\n(]|(?<=\w)\()+)")
COMMANDS = sorted({found.strip() for text in (README, *YAML) for found in COMMAND.findall(text)})
# What the reader is about to write, for which see end_to_end/test_newcomer.py; what needs no config.
OWN = ("--config-dir mine", "--help")


@pytest.mark.parametrize("command", [command for command in COMMANDS if not any(word in command for word in OWN)])
def test_commands_compose(command: str) -> None:
    overrides, config_dir, _ = split_arguments(shlex.split(command))
    assert validate(overrides, config_dir=config_dir) > 0
