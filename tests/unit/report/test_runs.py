import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anirec.errors import UserError
from anirec.report.run_files import require_run
from anirec.report.runs import read_run, read_runs

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
        ("running", "has not finished; still running, or killed"),
        ("unreadable", "metrics.json is damaged"),
        ("unreadable", "config.yaml is damaged"),
        ("unreadable", "metrics.json is missing"),
        (
            "unreadable",
            "provenance.json lacks dataset, seed, identity.experiment, identity.settings, identity.replicate, "
            "split.family",
        ),
    }


def test_wrong_paths_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No such folder: .*no1, .*no2"):
        read_runs([tmp_path / "no1", tmp_path, tmp_path / "no2"])
    with pytest.raises(UserError, match=r"No run in .* expected folders with config\.yaml and status\.json"):
        read_runs([tmp_path])


def test_a_split_without_a_name_goes_by_its_class(write_run: WriteRun) -> None:
    names = {"Random": "random", "PerUser": "per_user", "KFold": "k_fold"}
    for class_name, name in names.items():
        folder = write_run("svd", split="", config={"split._target_": f"anirec.data.splits.base.{class_name}"})
        assert read_runs([folder])[0].split_name == name


BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.yaml", "", "config.yaml is damaged: expected names and values"),
        ("config.yaml", "[]", "config.yaml is damaged: expected names and values"),
        ("config.yaml", "callbacks: [swa]", "callbacks: expected names"),
        ("config.yaml", BOMB, "line 2: an alias"),
        ("config.yaml", "model: " + "[" * 20_000 + "]" * 20_000, "nested more than 50 deep"),
        ("config.yaml", "seed: 1" + "0" * 400, "no finite number for seed"),
        ("config.yaml", "seed: !!timestamp x", "config.yaml is damaged"),
        ("metrics.json", "[" * 200_000 + "]" * 200_000, "metrics.json is damaged: RecursionError"),
        ("metrics.json", '{"test/rmse": 1' + "0" * 400 + "}", "no finite number for test/rmse"),
        ("metrics.json", '{"test/\\ud800": 1}', "metrics.json is damaged: UnicodeEncodeError"),
        ("status.json", "[]", "status.json is damaged: expected names and values"),
        ("status.json", '{"state": ["failed"]}', "status.json is damaged: expected a state"),
    ],
)
def test_a_damaged_file_is_named_and_expands_to_nothing(
    write_run: WriteRun, name: str, content: str, words: str
) -> None:
    folder = write_run("svd")
    (folder / name).write_text(content)
    run = read_run(folder)
    assert run.state == "unreadable"
    assert words in run.error


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": [1]}, "seed: expected text or a whole number"),
        ({"wall_seconds": "x"}, "wall_seconds: expected a finite number"),
        ({"versions": ["x"]}, "versions: expected names and values"),
        ({"versions": {"torch": [2]}}, "versions.torch: expected text"),
        ({"split": {"family": "a", "name": {}, "n_train": "many"}}, "split.n_train: expected a finite number"),
        ({"split": {"family": "a", "name": {}, "n_train": "many"}}, "split.name: expected text"),
    ],
)
def test_provenance_of_another_shape_is_damaged(write_run: WriteRun, values: dict[str, Any], words: str) -> None:
    path = write_run("svd") / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    run = read_run(path.parent)
    assert run.state == "unreadable"
    assert run.error.startswith("provenance.json is damaged")
    assert words in run.error


def test_a_folder_in_the_place_of_a_file_is_no_file(write_run: WriteRun) -> None:
    folder = write_run("svd")
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").mkdir()
    assert read_run(folder).error == "metrics.json is not a file"


@pytest.mark.parametrize(("error", "reason"), [("  \n ", "no reason recorded"), (5, "5"), (None, "no reason recorded")])
@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_any_reason_of_a_run_that_did_not_finish_is_one_line(
    write_run: WriteRun, state: str, error: Any, reason: str
) -> None:
    folder = write_run("svd")
    (folder / "status.json").write_text(json.dumps({"state": state, "error": error}))
    run = read_run(folder)
    assert (run.state, run.error) == (state, reason)


@pytest.mark.parametrize(
    ("name", "column", "values", "words"),
    [
        ("predictions", "target", None, "no column target: expected a number"),
        ("predictions", "prediction", "<b>", "prediction is String: expected a number"),
        ("recommendations", "rank", 0, "a rank below 1: expected 1"),
        ("recommendations", "rank", 1.5, "rank is Float64: expected a whole number"),
        ("recommendations", "relevant", "yes", "relevant is String: expected true or false"),
        ("recommendations", "n_relevant", None, "no column n_relevant: expected a whole number"),
    ],
)
def test_a_table_of_another_shape_is_named(
    write_run: WriteRun, name: str, column: str, values: Any, words: str
) -> None:
    path = write_run("svd") / f"{name}.parquet"
    rows = pl.read_parquet(path).drop(column)
    (rows if values is None else rows.with_columns(pl.lit(values).alias(column))).write_parquet(path)
    with pytest.raises(UserError, match=rf"{name}\.parquet: damaged \({words}"):
        read_run(path.parent).table(name, "test")


def test_the_newest_run_below_a_folder_is_named(tmp_path: Path) -> None:
    for name, time in (("2026-01-01_a", 2), ("2026-01-02_b", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        os.utime(tmp_path / name / "config.yaml", (time, time))
    with pytest.raises(UserError, match=r"No run in .*The newest run below it is .*2026-01-01_a\."):
        require_run(tmp_path)
