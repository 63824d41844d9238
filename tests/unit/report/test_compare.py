import io
import json
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
    assert "3 configurations, highest test NDCG@10 first" in by_ndcg


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
        write_run("surprise_svdpp", seed=seed, seconds=4000, quality=0.8)
        write_run("surprise_svdpp", seed=seed, config={"model.n_factors": 20})
    text = printed(tmp_path, width=width)
    assert max(map(len, text.splitlines())) <= width
    table = text.partition("Bold")[0]
    assert "±" in table
    assert "surprise_svdpp n_factors=80" in table
    assert ("ndcg@10 ↑" in table) == (width >= 80)
    assert ("hit_rate@10" in table) == (width >= 100)


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
    assert "Lowest" not in printed(tmp_path, metric="test/interval_coverage")


def test_runs_on_different_splits_are_never_ranked_together(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", family="aaa")
    write_run("svd", family="bbb", dataset="demo_ratings")
    text = printed(tmp_path)
    assert text.index("demo_ratings, random split") < text.index("mal_2016, random split")
    assert "95% interval" in text
    assert "2 tables: results on different data or splits, or of metrics with different" in text


def test_what_has_not_finished_is_counted_in_one_line_and_listed_on_demand(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    write_run("bias", state="running")
    failed = write_run("svdpp", state="failed", error="ValueError: lr=-1, expected a number >= 0\n  at line 3")
    text = printed(tmp_path)
    assert "3 runs: 1 finished, 1 failed, 1 running (list them: --where state=failed,running)" in text.replace(
        " \n", " "
    )
    assert str(failed) not in text
    listed = printed(tmp_path, where=["state=failed"])
    assert listed.startswith(f"failed     {failed.resolve()}")
    assert listed.endswith("ValueError: lr=-1, expected a number >= 0\n")
    assert printed(tmp_path, where=["state=failed", "model=svdpp"]) == listed
    with pytest.raises(UserError, match="None of 1 runs has finished"):
        printed(failed)


def test_a_run_made_again_is_named_and_not_counted(write_run: WriteRun, tmp_path: Path) -> None:
    older = write_run("svd")
    write_run("svd")
    text = printed(tmp_path)
    assert "Not counted: 1 older repetition of a run with equal settings and seed." in text
    assert str(older) not in text
    assert "±" not in text


def test_the_best_reachable_value_stands_below(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", metrics={"floor/rmse": 1.02})
    assert "best reachable  1.0200" in " ".join(printed(tmp_path).split("\n")).replace("   ", "  ")
    assert "best reachable" not in printed(tmp_path, metric="test/mae")


def test_each_table_is_sorted_by_the_objective_of_its_runs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    write_run("bias")
    for model in ("ease", "als"):
        write_run(model, split="per_user", family="b", config={"objective": "val/ndcg@10"})
    text = " ".join(printed(tmp_path).split())
    assert "per_user split: 2 configurations, highest test NDCG@10 first" in text
    assert "random split: 2 configurations, lowest test RMSE first" in text
    assert "Lowest test RMSE: " in text


@pytest.mark.parametrize("metric", ["ndcg@10", "NDCG@10", "ndcg", "test/ndcg@10"])
def test_a_metric_may_be_shortened(write_run: WriteRun, tmp_path: Path, metric: str) -> None:
    write_run("svd")
    write_run("bias", quality=0.5)
    write_score = write_run("mean", dataset="demo_corpus", family="titles")
    (write_score / "metrics.json").write_text('{"test/pearson": 0.5}')
    text = printed(tmp_path, metric=metric)
    assert "highest test NDCG@10 first" in text
    assert "Without test/ndcg@10, so not shown: demo_corpus, random split." in " ".join(text.split())
    validation = [line for line in printed(tmp_path, metric="val/rmse").splitlines() if "lowest" in line]
    assert "lowest validation RMSE first" in validation[0]


def test_a_sweep_without_test_metrics_is_sorted_by_validation(write_run: WriteRun, tmp_path: Path) -> None:
    (write_run("svd") / "metrics.json").write_text('{"val/rmse": 1.2, "val/mae": 0.9}')
    assert "0.9000" in printed(tmp_path, metric="mae")
    assert "1.2000" in printed(tmp_path)


def test_columns_that_are_equal_in_all_rows_are_left_out(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", quality=0.8)
    write_run("bias", quality=0.5)
    head = printed(tmp_path).partition("─")[0]
    assert " runs" not in head.splitlines()[-1]
    assert "coverage@10" not in printed(tmp_path, width=200).partition("─")[0], "0.31 in all of them"
    write_run("svd", quality=0.8, seed=2)
    assert " runs" in printed(tmp_path).partition("─")[0].splitlines()[-1]


def test_long_names_are_numbered_and_explained_below(write_run: WriteRun, tmp_path: Path) -> None:
    for reg in (0.01, 0.02):
        write_run("profile_mlp_malsugoi", config={"model.regularisation": reg, "model.n_factors": int(1000 * reg)})
    text = printed(tmp_path)
    assert "\nprofile_mlp_malsugoi-1 " in text
    assert "\n  profile_mlp_malsugoi-2: n_factors=20 regularisation=0.02\n" in text


def test_a_day_of_mixed_runs_takes_a_line_each_and_fits_80_columns(write_run: WriteRun, tmp_path: Path) -> None:
    patience = {"early_stopping": {"_target_": "anirec.tracking.callbacks.Patience", "epochs": 3}}
    for number, reg in enumerate((0.02, 0.04, 0.08, 0.16)):
        for model in ("svd", "surprise_svdpp", "profile_mlp_malsugoi"):
            for callbacks in ({}, patience):
                config = {"model.reg": reg, "callbacks": callbacks, "metrics.names": ["rmse", "mae"][: 1 + number % 2]}
                write_run(model, quality=0.9 - number / 10, config=config)
    for seed in (1, 2, 3):
        write_run("svd", seed=seed, split="per_user", family="b", config={"objective": "val/ndcg@10"})
        write_run("bias", seed=seed, dataset="demo_ratings", family="c", quality=0.5)
        write_run("svd", seed=seed, dataset="demo_ratings", family="c")
        write_run("svdpp", seed=seed, state="failed", error="no memory")
    text = printed(tmp_path)
    assert max(map(len, text.splitlines())) <= 80
    rows = re.findall(
        r"^(?:svd|surprise_svdpp|profile_mlp_malsugoi|bias)\S*(?: \S+=\S+| early_stopping)* +\d\.\d", text, re.M
    )
    assert len(rows) == 24 + 1 + 2
    assert "36 runs: 33 finished, 3 failed" in text
    assert "callbacks" not in text
    assert "names" not in text.partition("Bold")[0]


def test_markdown_names_all_settings_that_differ(write_run: WriteRun, tmp_path: Path) -> None:
    for reg in (0.01, 0.02):
        write_run("profile_mlp_malsugoi", config={"model.regularisation": reg, "model.n_factors": int(1000 * reg)})
    printed(tmp_path / "outputs", markdown=tmp_path / "results.md")
    written = (tmp_path / "results.md").read_text()
    assert "| profile_mlp_malsugoi n_factors=20 regularisation=0.02 |" in written
    assert "runs" not in written, "one each"


def test_times_leave_out_the_first_run_of_a_process_or_mark_it(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, (model, seconds) in enumerate((("bias", 90.0), ("svd", 10.0), ("svd", 20.0), ("als", 30.0))):
        folder = write_run(model, seed=seed, seconds=seconds - seed)  # `wall_seconds` is the sum
        process = {"pid": 7 + (model == "als"), "host": "a", "machine": "b"}
        (folder / "status.json").write_text(json.dumps({"state": "finished", **process}))
    first_svd = next(
        path for path in tmp_path.glob("outputs/*/svd/*") if "seed: 1" in (path / "config.yaml").read_text()
    )
    text = printed(tmp_path, width=200)
    assert re.search(r"^bias .* 1\.5 min\*", text, re.MULTILINE)
    assert re.search(r"^svd .* 15\.0 s *$", text, re.MULTILINE), "the mean of 10 and 20 seconds"
    assert re.search(r"^als .* 30\.0 s\*", text, re.MULTILINE)
    assert "*: the first run of its process, with loading." in text
    status = json.loads((first_svd / "status.json").read_text())
    (first_svd / "status.json").write_text(json.dumps({**status, "pid": 99}))
    assert re.search(r"^svd .* 20\.0 s *$", printed(tmp_path, width=200), re.MULTILINE), (
        "without the first of its process"
    )


def with_few_users(folder: Path, n_users: int) -> Path:
    """Cut the tables of a run to a row and a list of each of its first users."""
    for name in ("predictions", "recommendations"):
        table = pl.read_parquet(folder / f"{name}.parquet").filter(pl.col("user_id") < 7 * n_users)
        table = table.unique("user_id", keep="first", maintain_order=True) if name == "predictions" else table
        table.write_parquet(folder / f"{name}.parquet")
    content = json.loads((folder / "provenance.json").read_text())
    content["split"]["n_test"] = n_users
    (folder / "provenance.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("metric", ["test/rmse", "test/ndcg@10"])
def test_a_small_test_set_has_neither_interval_nor_winner(write_run: WriteRun, tmp_path: Path, metric: str) -> None:
    for model, quality in (("good", 0.9), ("bad", 0.2)):
        with_few_users(write_run(model, quality=quality), 18)
    text = printed(tmp_path, metric=metric, color=True, pairs=True, html=tmp_path / "page.html")
    assert "on 18 users, 18 test rows" in text
    assert "Only 18 users, 18 test rows: too few for intervals, tests or conclusions." in text
    assert "95% interval" not in text.partition("Only")[0]
    assert not re.search(r"\x1b\[1m[0-9.]", text)
    assert "est test" not in text.partition("first")[2]
    assert "no paired tests: only 18 users" in " ".join(text.split())
    assert "has the" not in (tmp_path / "page.html").read_text().partition("<script")[0]


def test_equal_predictions_are_named(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    write_run("als")
    write_run("bias", quality=0.5)
    assert "Equal predictions: als and svd." in printed(tmp_path)


def test_runs_with_fewer_metrics_do_not_hide_those_of_others(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", seed=1)
    unranked = write_run("svd", seed=2)
    metrics = {
        name: value for name, value in json.loads((unranked / "metrics.json").read_text()).items() if "@" not in name
    }
    (unranked / "metrics.json").write_text(json.dumps(metrics))
    (unranked / "recommendations.parquet").unlink()
    by_rmse, by_ndcg = (printed(tmp_path, metric=metric) for metric in ("rmse", "ndcg@10"))
    assert re.search(r"svd +\S+ ±\S+ .* 2 ", by_rmse)
    assert re.search(r"svd +\d\.\d{4} +\d\.\d{4}.\d\.\d{4} .* 1 ", by_ndcg)


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


def test_groups_without_the_metric_are_counted(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", metrics={"test/recall@10": 0.2})
    write_run("ease", quality=2.0)
    text = printed(tmp_path, metric="test/recall@10")
    assert "1 configuration without test recall@10, not shown; see --metric ndcg@10." in text
    assert "\nease" not in text


def test_a_metric_of_validation_is_named_as_such(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", metrics={"val/rmse": 1.2})
    assert "val/rmse ↓" in printed(tmp_path, metric="val/rmse")


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


def without(folder: Path, *metrics: str) -> Path:
    path = folder / "metrics.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in found.items() if name.split("/")[1] not in metrics}))
    return folder


def test_the_default_metric_is_one_that_all_runs_have(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    without(write_run("imported"), "rmse", "mae", "r2")
    text = printed(tmp_path)
    assert "highest test NDCG@10 first" in " ".join(text.split())
    assert "imported" in text.partition("NDCG@10 first")[2]
    assert "1 configuration without test RMSE, not shown; see --metric ndcg@10." in printed(tmp_path, metric="rmse")


def test_the_best_reachable_value_of_lists_is_that_of_the_split(write_run: WriteRun, tmp_path: Path) -> None:
    ceilings = {"ceiling/hit_rate@10/next": 0.9123, "ceiling/hit_rate@10/last_k": 0.7123}
    for model in ("svd", "transitions"):
        write_run(model, split="last_k", metrics=ceilings)
    text = printed(tmp_path, metric="hit_rate@10")
    assert re.search(r"best reachable +0\.7123", text)
    assert "0.9123" not in text
