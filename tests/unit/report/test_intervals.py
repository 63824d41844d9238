from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from anirec.metrics.resampling import draw_counts, percentile_interval, resampled_sums
from anirec.report.intervals import intervals
from anirec.report.runs import Run, read_runs

WriteRun = Callable[..., Path]


def test_the_tables_give_back_the_metrics_that_the_run_logged(write_run: WriteRun) -> None:
    """Intervals are narrow around the logged value: they are made of the same per-user numbers."""
    (run,) = read_runs([write_run("svd")])
    names = ["test/rmse", "test/mae", "test/r2", "test/hit_rate@10", "test/ndcg@10"]
    found = intervals([run], names)
    assert list(found) == names
    for name, (low, high) in found.items():
        assert low < run.metrics[name] < high
        assert (low + high) / 2 == pytest.approx(run.metrics[name], rel=0.02)
        assert high - low < 0.3 * run.metrics[name]


def test_ranking_interval_is_that_of_the_users_own_values(write_run: WriteRun) -> None:
    folder = write_run("svd")
    (run,) = read_runs([folder])
    lists = pl.read_parquet(folder / "recommendations.parquet").filter(pl.col("rank") <= 3)
    value = lists.group_by("user_id", maintain_order=True).agg(pl.col("relevant").any())["relevant"].to_numpy()
    expected = percentile_interval(resampled_sums(value[:, None].astype(float))[:, 0] / len(value))
    assert intervals([run], ["test/hit_rate@3"])["test/hit_rate@3"] == pytest.approx(expected)


def test_several_seeds_give_an_interval_of_their_mean(write_run: WriteRun) -> None:
    runs = read_runs([write_run("svd", seed=seed) for seed in (1, 2, 3, 4)])
    low, high = intervals(runs, ["test/rmse"])["test/rmse"]
    one_low, one_high = intervals(runs[:1], ["test/rmse"])["test/rmse"]
    assert low < np.mean([run.metrics["test/rmse"] for run in runs]) < high
    assert high - low < one_high - one_low


def test_predictions_without_users_are_resampled_by_row(write_run: WriteRun) -> None:
    folder = write_run("bert")
    path = folder / "predictions.parquet"
    pl.read_parquet(path).drop("user_id", "item_id", "title").write_parquet(path)
    low, high = intervals(read_runs([folder]), ["test/rmse"])["test/rmse"]
    assert low < high


def test_no_interval_without_tables_or_for_what_is_no_mean_over_users(write_run: WriteRun) -> None:
    with_tables, without = read_runs([write_run("svd"), write_run("svd", tables=False)])
    names = ["test/rmse", "test/rmse/cold_users", "test/coverage@10", "val/rmse", "test/unheard_of"]
    assert set(intervals([with_tables], names)) == {"test/rmse"}
    assert intervals([with_tables, without], names) == {}


def test_unknown_users_do_not_stop_it(write_run: WriteRun) -> None:
    folder = write_run("svd")
    path = folder / "predictions.parquet"
    rows = pl.read_parquet(path)
    unknown = pl.int_range(pl.len()) % 50 == 0
    rows.with_columns(user_id=pl.when(unknown).then(None).otherwise(pl.col("user_id"))).write_parquet(path)
    runs: list[Run] = read_runs([folder])
    assert intervals(runs, ["test/mae"])["test/mae"][0] > 0


def test_titles_of_a_franchise_are_drawn_together(write_score_run: WriteRun) -> None:
    """They are alike: as many independent titles would give narrower intervals than there is reason for."""
    folder = write_score_run()
    names = [f"test/{name}" for name in ("rmse", "r2", "pearson", "spearman", "kendall", "unit_mse")]
    (run,) = read_runs([folder])
    clustered = intervals([run], names)
    assert set(clustered) == set(names)
    for name, (low, high) in clustered.items():
        assert low < run.metrics[name] < high
    path = folder / "predictions.parquet"
    pl.read_parquet(path).drop("cluster").write_parquet(path)
    for name, (low, high) in intervals([run], names).items():
        assert high - low < 0.7 * (clustered[name][1] - clustered[name][0])


def test_interval_of_spearman_is_that_of_the_drawn_franchises(write_score_run: WriteRun) -> None:
    folder = write_score_run()
    rows = pl.read_parquet(folder / "predictions.parquet")
    prediction, target = (rows[name].to_numpy() for name in ("prediction", "target"))
    drawn = [np.repeat(count, 6) for count in draw_counts(200, 1000, 0)]
    slow = np.array([spearmanr(np.repeat(prediction, n), np.repeat(target, n)).statistic for n in drawn])
    found = intervals(read_runs([folder]), ["test/spearman"])["test/spearman"]
    assert found == pytest.approx(percentile_interval(slow))


def test_seeds_share_the_draws_of_an_order_metric(write_score_run: WriteRun) -> None:
    runs = read_runs([write_score_run(seed=seed) for seed in (1, 2, 3)])
    low, high = intervals(runs, ["test/kendall"])["test/kendall"]
    one_low, one_high = intervals(runs[:1], ["test/kendall"])["test/kendall"]
    assert low < np.mean([run.metrics["test/kendall"] for run in runs]) < high
    assert high - low < one_high - one_low


def test_members_may_write_their_ids_otherwise(write_run: WriteRun) -> None:
    folders = [write_run("svd", seed=seed) for seed in (1, 2)]
    expected = intervals(read_runs(folders), ["test/rmse"])["test/rmse"]
    path = folders[1] / "predictions.parquet"
    pl.read_parquet(path).with_columns(pl.col("user_id").cast(pl.String)).write_parquet(path)
    assert intervals(read_runs(folders), ["test/rmse"])["test/rmse"] == pytest.approx(expected, rel=0.01)


def test_a_metric_whose_columns_are_not_there_has_no_interval(write_run: WriteRun) -> None:
    assert list(intervals(read_runs([write_run("svd")]), ["test/unit_mse", "test/rmse"])) == ["test/rmse"]
