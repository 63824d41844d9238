"""Every published study has a valid definition, and each of its commands composes for every choice of data."""

import re
import shlex

import polars as pl
import pytest
import typer

from anirec.cli import app
from anirec.config.compose import conf_folder
from anirec.config.validate import validate
from anirec.studies.definition import Study, read_study, studies_folder, study_names
from anirec.studies.published import (
    compare_figures,
    figures_markdown,
    read_our_figures,
    read_published_figures,
)

MODELS = {path.stem for path in (conf_folder() / "model").glob("*.yaml")}
REPEATS = re.compile(r"\b(seed|fold)=(\d+)(,\d+)+")  # one value is enough to check that a command composes
WRITTEN = [
    (name, shlex.split(command))
    for name in study_names()
    for command in re.findall(r"^anirec run (.+)$", (studies_folder() / name / "README.md").read_text(), re.MULTILINE)
]
RUN = [
    (name, ["-m", *command])
    for name in study_names()
    for part in read_study(name).parts
    for choice in part.data
    for command in part.commands_for(choice)
]
COMMANDS = {f"{name}: {shlex.join(command)}": command for name, command in WRITTEN + RUN}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_compose(command: list[str]) -> None:
    arguments = [REPEATS.sub(r"\1=\2", argument) for argument in command]
    given = typer.main.get_group(app).commands["validate"].make_context("validate", arguments).params
    assert validate(given["overrides"] or [], config_dir=given["config_dir"]) > 0


@pytest.mark.parametrize("study", [read_study(name) for name in study_names()], ids=lambda study: study.name)
def test_a_study_runs_without_dumps_and_has_results(study: Study) -> None:
    assert all(part.data[-1].dataset.startswith("demo_") for part in study.parts)
    published = read_published_figures(study.folder / "published.csv")
    assert any(model in MODELS for model in published["model"])
    assert len(pl.read_csv(study.folder / "results.csv", infer_schema_length=None))
    readme = (study.folder / "README.md").read_text()
    assert f"anirec study {study.name}" in readme
    assert "**Question" in readme
    own = {part.data[0].dataset for part in study.parts}
    found = compare_figures(published, read_our_figures(study.folder / "results.csv"), own)
    assert figures_markdown(found).strip() in readme, (
        "published figures and ours side by side, as the study prints them"
    )
