"""`anirec clean`: which runs are removed, and what is left alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anirec.tracking.cleaning import find_removals, remove
from anirec.tracking.folders import link_into_sweep, write_status

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a run folder; its name begins with its age."""

    def write_run(name: str, *, state: str = "finished", run: str = "ab", checkpoint: bool = True) -> Path:
        folder = tmp_path / "outputs" / "demo" / "svd" / f"{name}_{run}"
        (folder / "checkpoints").mkdir(parents=True)
        write_status(folder, state, seconds=1)
        (folder / "config.yaml").write_text("seed: 1")
        (folder / "provenance.json").write_text(json.dumps({"identity": {"run": run}}))
        if state == "finished":
            (folder / "metrics.json").write_text('{"test/rmse": 1}')
        if checkpoint:
            (folder / "checkpoints" / "last.ckpt").touch()
        return folder

    return write_run


def found(tmp_path: Path) -> dict[str, str]:
    return {removal.folder.name: removal.reason for removal in find_removals(tmp_path / "outputs")}


def test_failed_and_superseded_runs_are_found(write: Write, tmp_path: Path) -> None:
    write("1")
    write("2", state="failed", checkpoint=False)
    write("3", state="interrupted")
    write("4")
    write("5", state="interrupted")
    write("1", run="cd", state="failed", checkpoint=False)
    write("1", run="ef", state="pruned", checkpoint=False)
    write("1", run="gh", state="interrupted")
    write("1", run="ij")
    assert found(tmp_path) == {
        "1_ab": "finished, superseded",
        "2_ab": "failed, superseded",
        "3_ab": "interrupted, superseded",
        "1_cd": "failed, cannot be resumed",
    }


def test_a_tested_run_is_not_superseded_by_one_without_test(write: Write, tmp_path: Path) -> None:
    write("1")
    (write("2") / "metrics.json").write_text('{"val/rmse": 1}')
    assert found(tmp_path) == {}


def test_runs_that_a_sweep_has_chosen_are_kept(write: Write, tmp_path: Path) -> None:
    first, second = write("1"), write("2")
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    sweep.mkdir(parents=True)
    (sweep / "selection.json").write_text(json.dumps({"runs": ["../../demo/svd/1_ab"], "looks": []}))
    assert found(tmp_path) == {}
    assert first.exists()
    assert second.exists()


def test_links_lead_to_the_later_run_or_are_removed(write: Write, tmp_path: Path) -> None:
    old, new = write("1"), write("2")
    failed = write("1", run="cd", state="failed", checkpoint=False)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    for number, run in enumerate((old, failed, new)):
        link_into_sweep(run, sweep, number)
    remove(tmp_path / "outputs", find_removals(tmp_path / "outputs"))
    assert not old.exists()
    assert not failed.exists()
    assert {link.name: link.resolve() for link in sweep.iterdir()} == {"0000": new, "0002": new}


def test_nothing_outside_is_touched(write: Write, tmp_path: Path) -> None:
    """A link to a folder of runs is not followed; a folder that is no run is left alone."""
    write("1")
    elsewhere = write("1", run="cd", state="failed", checkpoint=False).rename(tmp_path / "elsewhere")
    (tmp_path / "outputs" / "link").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "outputs" / "linked_run").symlink_to(elsewhere, target_is_directory=True)
    notes = tmp_path / "outputs" / "demo" / "notes"
    notes.mkdir()
    (notes / "status.json").write_text('{"state": "failed"}')
    assert found(tmp_path) == {}
