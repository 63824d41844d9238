"""conf/README.md lists every choice with the first comment line of its YAML, and every top-level key."""

import re
from pathlib import Path

import pytest
import yaml

CONF = Path(__file__).parents[2] / "conf"
SECTIONS = dict(re.findall(r"^## (\S[^\n]*)\n(.*?)(?=^## |\Z)", (CONF / "README.md").read_text(), re.DOTALL | re.M))
GROUPS = {path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} - {"."}


def first_comment(path: Path) -> str:
    return next(
        line.removeprefix("# ")
        for line in path.read_text().splitlines()
        if line.startswith("# ") and not line.startswith("# @package")
    )


def test_every_group_has_a_section() -> None:
    assert set(SECTIONS) == GROUPS | {"Top-level keys"}


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_choices_are_listed_with_their_first_line(group: str) -> None:
    rows = [f"| `{path.stem}` | {first_comment(path)} |" for path in sorted((CONF / group).glob("*.yaml"))]
    assert re.findall(r"^\| `.*$", SECTIONS[group], re.MULTILINE) == rows


def test_first_lines_are_sentences() -> None:
    lines = {path: first_comment(path) for path in CONF.rglob("*.yaml")}
    assert not {path: line for path, line in lines.items() if not line.endswith(".") or len(line) > 130}


def test_top_level_keys_are_listed_with_their_defaults() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| .+ \|$", SECTIONS["Top-level keys"], re.MULTILINE)
    config = yaml.safe_load((CONF / "config.yaml").read_text())
    settings = {key: value for key, value in config.items() if key not in ("defaults", "run", "hydra")}
    flat = {
        f"{key}.{name}" if isinstance(value, dict) else key: default
        for key, value in settings.items()
        for name, default in (value.items() if isinstance(value, dict) else [(key, value)])
    }
    assert {key for key, _ in rows} == set(flat)
    written = {key: yaml.safe_load(default.strip("`")) for key, default in rows if not key.startswith("paths.")}
    assert written == {key: default for key, default in flat.items() if not key.startswith("paths.")}
