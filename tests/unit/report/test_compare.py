import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from anirec.errors import UserError
from anirec.report.compare import compare
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]
BOLD = re.compile(r"\x1b\[1m(.*?)\x1b\[0m")


def printed(folder: Path, *, width: int = 80, color: bool = False, **options: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None)
    compare([folder], console=console, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def order(text: str, *models: str) -> list[str]:
    return sorted(models, key=lambda model: text.index(f"\n{model}"))


def test_best_first_in_the_metrics_own_direction(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality in (("bias", 0.7), ("svdpp", 0.9), ("popularity", 0.5)):
        write_run(model, quality=quality)
    assert order(printed(tmp_path), "bias", "svdpp", "popularity") == ["svdpp", "bias", "popularity"]
    by_ndcg = printed(tmp_path, metric="test/ndcg@10")
    assert order(by_ndcg, "bias", "svdpp", "popularity") == ["svdpp", "bias", "popularity"]
    assert "sorted by test/ndcg@10 (higher is better)" in by_ndcg


def test_the_best_of_every_metric_is_bold(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp", metrics={"test/rmse": 1.14, "test/mae": 0.91, "test/ndcg@10": 0.11})
    write_run("ease", metrics={"test/rmse": 1.19, "test/mae": 0.97, "test/ndcg@10": 0.25})
    text = printed(tmp_path, color=True)
    (svdpp,) = (line for line in text.splitlines() if line.startswith("svdpp"))
    (ease,) = (line for line in text.splitlines() if line.startswith("ease"))
    assert [cell.strip() for cell in BOLD.findall(svdpp)] == ["1.1400", "0.9100"]
    assert [cell.strip() for cell in BOLD.findall(ease)] == ["0.2500"]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_fits_the_terminal(write_run: WriteRun, tmp_path: Path, width: int) -> None:
    for seed in (1, 2):
        write_run("surprise_svdpp", seed=seed, seconds=4000)
        write_run("surprise_svdpp", seed=seed, config={"model.n_factors": 20})
    table = printed(tmp_path, width=width).partition("Bold")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "±" in table
    assert ("ndcg@10" in table) == (width > 60)
    assert ("hit_rate@10" in table) == (width > 100)


def test_score_runs_show_correlations_first_and_coverage_without_a_winner(
    write_score_run: WriteRun, tmp_path: Path
) -> None:
    write_score_run("tfidf_ridge", quality=0.4)
    write_score_run("bert", quality=0.6)
    text = printed(tmp_path, width=160, color=True)
    (heading,) = (line for line in text.splitlines() if "rmse ↓" in line)
    words = re.sub(r"\x1b\[[0-9;]*m", "", heading).replace("95% interval", "").split()
    assert words[1:8] == ["rmse", "↓", "pearson", "↑", "spearman", "↑", "r2"]
    assert words[words.index("interval_coverage") + 1] == "interval_width"
    best = next(line for line in text.splitlines() if line.startswith("bert"))
    assert "0.9100" not in BOLD.findall(best)
    assert any("1.6000" in cell for cell in BOLD.findall(best)), "narrower intervals are better"
    by_pearson = printed(tmp_path, width=80, metric="test/pearson")
    assert order(by_pearson, "tfidf_ridge", "bert") == ["bert", "tfidf_ridge"]
    assert "clusters of titles" in " ".join(by_pearson.split())
    assert "neither direction is better" in printed(tmp_path, metric="test/interval_coverage")


def test_runs_on_different_splits_are_never_ranked_together(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", family="aaa")
    write_run("svd", family="bbb", dataset="demo_ratings")
    text = printed(tmp_path)
    assert text.index("demo_ratings, random split") < text.index("mal_2016, random split")
    assert text.count("95% interval") == 2
    assert "2 tables: results on different data or splits cannot be ranked together" in text


def test_what_has_not_finished_is_listed_with_its_error(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    failed = write_run("svdpp", state="failed", error="ValueError: lr=-1, expected a number >= 0\n  at line 3")
    text = printed(tmp_path)
    assert f"failed     {failed.resolve()}" in text
    assert "ValueError: lr=-1, expected a number >= 0\n" in text
    with pytest.raises(UserError, match="None of 1 runs has finished"):
        printed(failed)


def test_a_run_made_again_is_named_and_not_counted(write_run: WriteRun, tmp_path: Path) -> None:
    older = write_run("svd")
    write_run("svd")
    text = printed(tmp_path)
    assert f"repeated later:\n  {older.resolve()}" in text
    assert "±" not in text


def test_the_best_reachable_value_stands_below(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", metrics={"floor/rmse": 1.02})
    assert "best reachable  1.0200" in " ".join(printed(tmp_path).split("\n")).replace("   ", "  ")
    assert "best reachable" not in printed(tmp_path, metric="test/mae")


def test_an_unknown_metric_names_the_nearest(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    with pytest.raises(
        UserError, match=r"test/rsme\. Did you mean test/rmse.* Use val/ or test/ followed by one of: rmse"
    ):
        printed(tmp_path, metric="test/rsme")


def test_a_metric_may_be_named_without_its_split(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    assert printed(tmp_path, metric="mae") == printed(tmp_path, metric="test/mae")


@pytest.mark.parametrize("metric", ["test/unknown_users", "floor/rmse"])
def test_counts_rank_nothing(write_run: WriteRun, tmp_path: Path, metric: str) -> None:
    write_run("svd", metrics={"floor/rmse": 1.02})
    with pytest.raises(UserError, match=f"{metric}. {metric} is a count or a property.* followed by one of: rmse"):
        printed(tmp_path, metric=metric)


def test_groups_without_the_metric_come_last(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", metrics={"test/recall@10": 0.2})
    write_run("ease", quality=2.0)
    text = printed(tmp_path, metric="test/recall@10")
    assert order(text, "svd", "ease") == ["svd", "ease"]


def test_csv_has_every_figure_of_every_group(write_run: WriteRun, tmp_path: Path) -> None:
    folders = [write_run("svd", seed=seed) for seed in (1, 2, 3)]
    write_run("ease", family="other", dataset="demo_ratings", metrics={"test/recall@10": 0.2})
    printed(tmp_path / "outputs", csv=tmp_path / "new" / "results.csv")
    table = pl.read_csv(tmp_path / "new" / "results.csv")
    svd = table.row(by_predicate=pl.col("model") == "svd", named=True)
    values = [run.metrics["test/rmse"] for run in read_runs(folders)]
    assert svd["test/rmse:mean"] == pytest.approx(np.mean(values), rel=1e-15)
    assert svd["test/rmse:std"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert svd["test/ndcg@10:low"] < svd["test/ndcg@10:mean"] < svd["test/ndcg@10:high"]
    assert (svd["runs"], svd["seeds"], svd["test/recall@10:mean"]) == (3, "1 2 3", None)
    assert svd["test/rmse/cold_users:mean"] == pytest.approx(svd["test/rmse:mean"] + 0.2)
    assert len(table) == 2


def test_markdown_has_the_tables_with_the_best_in_bold(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp", quality=0.9)
    write_run("popularity", quality=0.5)
    printed(tmp_path / "outputs", markdown=tmp_path / "results.md")
    title, _, head, rule, first, second = (tmp_path / "results.md").read_text().splitlines()
    assert title == "### mal_2016, random split"
    assert head.startswith("| model | rmse ↓ | 95% interval | ndcg@10 ↑ |")
    assert rule.count("---") == head.count("|") - 1
    assert first.startswith("| svdpp | **")
    assert second.startswith("| popularity | 2")


def test_starts_without_torch() -> None:
    code = "import sys, anirec.report.compare; sys.exit('torch' in sys.modules or 'pytorch_lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
