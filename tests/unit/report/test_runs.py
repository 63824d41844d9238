from collections.abc import Callable
from pathlib import Path

import pytest

from anirec.errors import UserError
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]


def test_finds_each_run_once_through_links_and_circles(write_run: WriteRun, tmp_path: Path) -> None:
    svd, ease = write_run("svd"), write_run("ease")
    (tmp_path / "latest").symlink_to(svd)
    (tmp_path / "outputs" / "circle").symlink_to(tmp_path)
    (svd / "checkpoints").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "favourite").symlink_to(ease)
    found = read_runs([tmp_path / "latest", tmp_path, svd, tmp_path / "elsewhere"])
    assert sorted(run.folder for run in found) == sorted([svd.resolve(), ease.resolve()])


def test_says_what_is_wrong_with_unfinished_and_damaged_runs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", state="failed", error="ValueError: lr=-1")
    write_run("svd", state="running")
    (write_run("ease") / "metrics.json").write_text('{"test/rmse": 1.')
    (write_run("bias") / "metrics.json").unlink()
    (write_run("popularity") / "provenance.json").write_text('{"model": "popularity", "split": {"name": "random"}}')
    (write_run("item_knn") / "config.yaml").write_text("model: {")
    reasons = {(run.state, run.error.partition(":")[0]) for run in read_runs([tmp_path])}
    assert reasons == {
        ("failed", "ValueError"),
        ("running", "has not finished; still at work, or killed"),
        ("unreadable", "a file of this run is damaged"),
        ("unreadable", "metrics.json is missing"),
        ("unreadable", "provenance.json lacks dataset, seed, split.family"),
    }


def test_wrong_paths_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No such folder: .*no1, .*no2"):
        read_runs([tmp_path / "no1", tmp_path, tmp_path / "no2"])
    with pytest.raises(UserError, match=r"No run in .* expected folders that hold a status\.json"):
        read_runs([tmp_path])


def test_a_split_without_a_name_goes_by_its_class(write_run: WriteRun) -> None:
    names = {"Random": "random", "PerUser": "per_user", "KFold": "k_fold"}
    for class_name, name in names.items():
        folder = write_run("svd", split="", config={"split._target_": f"anirec.data.splits.{class_name}"})
        assert read_runs([folder])[0].split_name == name
