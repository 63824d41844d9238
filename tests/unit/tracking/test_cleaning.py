"""`anirec clean`: which runs are removed, and what is left alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.tracking.cleaning import find_removals, remove, show_unreadable
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


def new_sweep(tmp_path: Path, kind: str = "sweeps") -> Path:
    sweep = tmp_path / "outputs" / kind / "s"
    sweep.mkdir(parents=True)
    return sweep


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


@pytest.mark.parametrize("folder", ["demo", "demo/svd", "demo/svd/1_ab"])
@pytest.mark.parametrize(("kind", "name"), [("sweeps", "selection.json"), ("searches", "best.json")])
def test_sweeps_outside_the_folder_are_read(write: Write, tmp_path: Path, folder: str, kind: str, name: str) -> None:
    write("1", state="failed", checkpoint=False)
    (new_sweep(tmp_path, kind) / name).write_text(json.dumps({"run": "../../demo/svd/1_ab"}))
    assert find_removals(tmp_path / "outputs" / folder) == []


def test_links_outside_the_folder_lead_to_the_later_run(write: Write, tmp_path: Path) -> None:
    old, new = write("1"), write("2")
    failed = write("1", run="cd", state="failed", checkpoint=False)
    sweep = new_sweep(tmp_path)
    for number, run in enumerate((old, failed)):
        link_into_sweep(run, sweep, number)
    root = tmp_path / "outputs" / "demo" / "svd"
    remove(root, find_removals(root))
    assert not old.exists()
    assert {link.name: link.resolve() for link in sweep.iterdir()} == {"0000": new}


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "interactions.parquet", "mine/notes.txt"])
def test_a_later_run_must_have_every_file_of_the_earlier(write: Write, tmp_path: Path, name: str) -> None:
    earlier, later = write("1"), write("2")
    for run in (earlier, later):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).touch()
    assert found(tmp_path) == {"1_ab": "finished, superseded"}
    (later / name).unlink()
    assert found(tmp_path) == {}


def test_a_traceback_does_not_keep_a_failed_run(write: Write, tmp_path: Path) -> None:
    (write("1", state="failed") / "error.txt").touch()
    write("2")
    assert found(tmp_path) == {"1_ab": "failed, superseded"}


def test_a_later_run_with_damaged_metrics_supersedes_nothing(write: Write, tmp_path: Path) -> None:
    write("1")
    (write("2") / "metrics.json").write_text('{"test/rm')
    assert found(tmp_path) == {}


@pytest.mark.parametrize(
    "status",
    ["", '{"state": "fai', "[]", '{"state": 3}', '{"state": "archived", "heartbeat": 1}', '{"state": "running"}'],
)
def test_a_run_with_a_damaged_status_is_left_alone(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    (write("1", checkpoint=False) / "status.json").write_text(status)
    write("2")
    (write("1", run="cd", state="failed", checkpoint=False) / "status.json").write_text(status)
    assert found(tmp_path) == {}
    show_unreadable(tmp_path / "outputs")
    printed = capsys.readouterr().err
    assert "status unreadable" in printed
    assert "1_ab" in printed
    assert "1_cd" in printed
    assert "2_ab" not in printed


def test_a_run_with_metrics_is_removed_only_if_superseded(write: Write, tmp_path: Path) -> None:
    (write("1", state="failed", checkpoint=False) / "metrics.json").write_text('{"test/rmse": 1}')
    assert found(tmp_path) == {}
    write("2")
    assert found(tmp_path) == {"1_ab": "failed, superseded"}


@pytest.mark.parametrize("name", ["selection.json", "best.json"])
@pytest.mark.parametrize("content", [b"", b'{"run": "../../demo/sv', b'{"run": "\xff"}', b'{"run": "a\\u0000b"}'])
def test_a_damaged_choice_is_refused(write: Write, tmp_path: Path, name: str, content: bytes) -> None:
    write("1")
    write("2")
    file = new_sweep(tmp_path) / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=name):
        find_removals(tmp_path / "outputs" / "demo")
