"""The comments of every model YAML state its purpose and the command that runs it."""

from pathlib import Path

import pytest

from anirec.config.compose import conf_folder

MODELS = sorted((conf_folder() / "model").glob("*.yaml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_yaml_opens_with_purpose_and_command(path: Path) -> None:
    first, *rest = path.read_text().splitlines()
    assert first.startswith("# ")
    assert len(first) > 20
    assert any(line.startswith("#   anirec run") and f"model={path.stem}" in line for line in rest)
