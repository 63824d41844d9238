"""Backtests: the metric in each window of time, and its mean over the windows."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from anirec.report.compare import compare
from anirec.report.groups import families
from anirec.report.leaderboard import leaderboard
from anirec.report.runs import read_runs
from anirec.report.windows import Backtest, backtest

WriteRun = Callable[..., Path]
YEARS = ("2017", "2016", "2018")


def in_window(folder: Path, window: str) -> Path:
    content = json.loads((folder / "provenance.json").read_text())
    content["split"]["window"] = window
    (folder / "provenance.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def runs(write_run: WriteRun, tmp_path: Path) -> Path:
    for fold, window in enumerate(YEARS):
        in_window(write_run("good", quality=0.9, fold=fold, split="air_date"), window)
        if window != "2018":
            in_window(write_run("bad", quality=0.5, fold=fold, split="air_date"), window)
    return tmp_path


def found_in(folder: Path, metric: str = "test/rmse") -> Backtest | None:
    (family,) = families(read_runs([folder]))
    return backtest(leaderboard(family, metric, [metric]))


def test_each_window_has_its_mean_and_interval_and_the_mean_weighs_windows_equally(runs: Path) -> None:
    found = found_in(runs)
    assert found is not None
    assert found.windows == ["2016", "2017", "2018"]
    assert found.models == ["good", "bad"]
    values = {run.split["window"]: run.metrics["test/rmse"] for run in read_runs([runs]) if run.model == "good"}
    assert {window: one.mean for window, one in found.outcomes[0].items()} == values
    for one in found.outcomes[0].values():
        assert one.interval is not None
        assert one.interval[0] < one.mean < one.interval[1]
    lines = dict(found.lines())
    common = [values["2016"], values["2017"]]
    assert lines["mean of 2 common"][0] == f"{np.mean(common):.4f} ±{np.std(common, ddof=1):.4f}"
    assert lines["best in"] == ["2 of 2", "0 of 2"]
    assert lines["2018"][1] == "-"


def test_the_table_fits_the_terminal_and_continues_below_with_further_models(runs: Path, write_run: WriteRun) -> None:
    for place in range(4):
        in_window(write_run(f"further_model_{place}", fold=0, split="air_date"), "2017")
    printed = io.StringIO()
    compare([runs], console=Console(file=printed, width=80))
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "Backtest: test RMSE in 3 windows, with 95% intervals" in lines
    assert sum(line.startswith("2017") for line in lines) == 2
    compare([runs], html=runs / "page.html", console=Console(file=printed))
    page = (runs / "page.html").read_text()
    assert "Windows of the backtest" in page
    assert "Backtest: test RMSE in 3 windows of time" in page


def test_runs_of_one_window_or_of_none_are_no_backtest(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run("svd", seed=seed)
    assert found_in(tmp_path) is None
    for seed in (3, 4):
        in_window(write_run("bias", seed=seed), "2016")
    assert found_in(tmp_path) is None


def test_models_without_a_common_window_are_not_ranked(write_run: WriteRun, tmp_path: Path) -> None:
    for fold, window in enumerate(("2016", "2017")):
        in_window(write_run("svd", quality=0.5, fold=fold, split="air_date"), window)
    in_window(write_run("svd_updated", quality=0.9, fold=2, split="air_date"), "2018")
    stream = io.StringIO()
    compare([tmp_path], html=tmp_path / "page.html", console=Console(file=stream, width=80, force_terminal=True))
    printed = stream.getvalue()
    assert "2 configurations, not ranked" in " ".join(printed.split())
    assert "Not ranked: there is no split" in printed
    assert "Lowest test RMSE" not in printed
    assert "best in" not in printed
    row = next(line for line in printed.splitlines() if "svd_updated" in line)
    assert "\x1b[1m" not in row
    assert "has the lowest" not in (tmp_path / "page.html").read_text()


def test_means_over_different_windows_have_no_best(runs: Path) -> None:
    stream = io.StringIO()
    compare([runs], console=Console(file=stream, width=80, force_terminal=True))
    printed = stream.getvalue()
    assert "none is marked as the best" in " ".join(printed.split())
    assert "Lowest test RMSE" not in printed
