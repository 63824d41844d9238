"""Commands in the documents and in the YAML comments compose; links in the documents have targets."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from anirec.cli import app
from anirec.config.compose import conf_folder
from anirec.config.validate import validate

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "conf" / "README.md", *sorted((ROOT / "experiments").rglob("README.md"))]
TEXTS = [
    path.read_text() for path in DOCUMENTS if path.parent.parent.name != "experiments"
]  # studies: test_experiments
YAML = [path.read_text() for path in sorted(conf_folder().rglob("*.yaml"))]
MAKEFILE = (ROOT / "Makefile").read_text()
COMMAND = re.compile(r"anirec (?:run|validate) ((?:[^`#\n(]|(?<=\w)\()+)")
REPEATS = re.compile(r"\b(seed|fold)=(\d+)(,\d+)+")  # one value is enough to check that a command composes
COMMANDS = sorted(
    {REPEATS.sub(r"\1=\2", found.strip()) for text in (*TEXTS, *YAML, MAKEFILE) for found in COMMAND.findall(text)}
)
# Tests in end_to_end run the commands with files of the user's own; --help needs no config.
SKIPPED = ("--config-dir mine", "--config-dir my_conf", "--help")


@pytest.mark.parametrize("command", [command for command in COMMANDS if not any(word in command for word in SKIPPED)])
def test_commands_compose(command: str) -> None:
    given = typer.main.get_group(app).commands["validate"].make_context("validate", shlex.split(command)).params
    assert validate(given["overrides"] or [], config_dir=given["config_dir"]) > 0


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_have_targets(document: Path) -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()) if "://" not in link]
    assert not [path for path, _, _ in links if not (document.parent / path).exists()]
    targets = [(document.parent / path if path else document, anchor) for path, _, anchor in links if anchor]
    assert not [anchor for target, anchor in targets if anchor not in anchors(target.read_text())]
