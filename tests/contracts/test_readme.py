"""Every `anirec run` and `anirec validate` in the documents and in the comments of the YAML files composes."""

import re
import shlex
from pathlib import Path

import pytest

from anirec.cli import split_arguments
from anirec.composing.composition import conf_folder
from anirec.composing.config import validate

ROOT = Path(__file__).parents[2]
DOCUMENTS = [(ROOT / folder / "README.md").read_text() for folder in ("", "conf", "experiments")]
YAML = [path.read_text() for path in sorted(conf_folder().rglob("*.yaml"))]
COMMAND = re.compile(r"anirec (?:run|validate) ((?:[^`#\n(]|(?<=\w)\()+)")
REPEATS = re.compile(r"\b(seed|fold)=(\d+)(,\d+)+")  # one of them composes like the others
COMMANDS = sorted(
    {REPEATS.sub(r"\1=\2", found.strip()) for text in (*DOCUMENTS, *YAML) for found in COMMAND.findall(text)}
)
# end_to_end/test_newcomer.py runs the commands with files of the reader's own; --help needs no config.
OWN = ("--config-dir mine", "--help")


@pytest.mark.parametrize("command", [command for command in COMMANDS if not any(word in command for word in OWN)])
def test_commands_compose(command: str) -> None:
    overrides, config_dir, _ = split_arguments(shlex.split(command))
    assert validate(overrides, config_dir=config_dir) > 0
