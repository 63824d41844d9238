"""Every dataset YAML names a source, with the arguments that its class takes and columns that the schema declares."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from anirec.config.checks import check_targets, columns_of
from anirec.config.compose import conf_folder, to_dict
from anirec.data.schema import TABLES
from anirec.describing.datasets import create_source

DATASETS = sorted((conf_folder() / "dataset").glob("*.yaml"))
COLUMNS = frozenset().union(*TABLES.values())


def source_node(name: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return to_dict(compose("config", [f"dataset={name}"]).dataset.source)


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_a_dataset_declares_its_columns_without_its_files(path: Path) -> None:
    node = source_node(path.stem)
    assert list(check_targets({"source": node})) == []
    source, _ = create_source(path.stem)
    assert columns_of(node) == source.columns <= COLUMNS
    assert source.columns & {"item_id", "post_id"}
    assert source.scale.low < source.scale.high
    assert source.name.isidentifier()


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_the_comment_of_a_dataset_names_a_command(path: Path) -> None:
    assert any(
        line.startswith("#   anirec") and f"dataset={path.stem}" in line for line in path.read_text().splitlines()
    )
