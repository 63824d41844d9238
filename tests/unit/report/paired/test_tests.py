from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr, wilcoxon

from anirec.evaluation.results import round_digits
from anirec.metrics.rating import rmse
from anirec.metrics.resampling import draw_counts, holm
from anirec.report.groups import Family, families
from anirec.report.intervals import intervals
from anirec.report.paired.runs import ORDER_RESAMPLES
from anirec.report.paired.tests import Pair, pairwise, why_no_pairs
from anirec.report.runs import read_runs
from anirec.tracking.parquet import write_parquet

WriteRun = Callable[..., Path]


def family_of(folder: Path) -> Family:
    (family,) = families(read_runs([folder]))
    return family


def pairs_of(folder: Path, metric: str) -> list[Pair]:
    return pairwise(family_of(folder), metric)


def predictions(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "predictions.parquet")


@pytest.mark.parametrize("metric", ["test/rmse", "test/mae", "test/r2", "test/ndcg@10", "test/hit_rate@10"])
def test_the_difference_is_that_of_the_logged_metrics(write_run: WriteRun, tmp_path: Path, metric: str) -> None:
    for seed in (1, 2):
        write_run("svdpp", quality=0.9, seed=seed)
        write_run("bias", quality=0.7, seed=seed)
    (pair,) = pairs_of(tmp_path, metric)
    assert (pair.first.label, pair.second.label) == ("svdpp", "bias")
    means = [np.mean([run.metrics[metric] for run in group.members]) for group in (pair.first, pair.second)]
    assert pair.difference == pytest.approx(means[0] - means[1], rel=1e-5)
    assert pair.interval[0] < pair.difference < pair.interval[1]
    assert pair.p_holm == pair.p < 0.05
    assert pair.effect > 0
    assert (pair.unit, pair.n_units) == ("users", 300)
    assert pair.n_better > pair.n_worse


def test_agrees_with_a_bootstrap_that_copies_the_rows_of_every_drawn_user(write_run: WriteRun, tmp_path: Path) -> None:
    first, second = predictions(write_run("svd", quality=0.8)), predictions(write_run("bias", quality=0.77, seed=5))
    target = first["target"].to_numpy()
    one, other = (table["prediction"].to_numpy() for table in (first, second))
    rows_u = np.arange(len(target)).reshape(300, 6)
    random = np.random.default_rng(0)
    resamples = [rows_u[random.integers(300, size=300)].ravel() for _ in range(3000)]
    differences = np.array([rmse(one[rows], target[rows]) - rmse(other[rows], target[rows]) for rows in resamples])
    observed = rmse(one, target) - rmse(other, target)
    (pair,) = pairs_of(tmp_path, "test/rmse")
    assert pair.interval == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.004)
    assert pair.p == pytest.approx(np.mean(np.abs(differences - observed) >= abs(observed)), abs=0.03)
    assert 0.01 < pair.p < 0.9, "neither certain nor hopeless, or nothing was tested here"


def test_effect_and_counts_are_of_the_users_own_errors(write_run: WriteRun, tmp_path: Path) -> None:
    tables = [predictions(write_run("svd", quality=0.8)), predictions(write_run("bias", quality=0.7, seed=5))]
    error = (pl.col("prediction") - pl.col("target")).abs().mean()
    first, second = (table.group_by("user_id", maintain_order=True).agg(error)["prediction"] for table in tables)
    gain = (second - first).to_numpy()
    (pair,) = pairs_of(tmp_path, "test/mae")
    assert (pair.n_better, pair.n_worse) == ((gain > 0).sum(), (gain < 0).sum())
    assert pair.effect == pytest.approx(1 - 4 * wilcoxon(gain).statistic / (300 * 301))
    assert pair.effect_name == "rank-biserial correlation"


def test_identical_predictions_do_not_differ(write_run: WriteRun, tmp_path: Path) -> None:
    for fold in (0, 1, 2):
        write_run("svd", fold=fold)
        write_run("surprise_svd", fold=fold)
    for metric in ("test/rmse", "test/ndcg@10"):
        (pair,) = pairs_of(tmp_path, metric)
        assert (pair.difference, pair.p, pair.effect, pair.n_better, pair.n_worse) == (0, 1, 0, 0, 0)
        assert pair.interval == (0, 0)


def test_only_splits_that_both_have_are_compared_whatever_the_seeds(write_run: WriteRun, tmp_path: Path) -> None:
    for fold in (0, 1):
        for seed in (1, 2):
            write_run("svd", quality=0.9, seed=seed, fold=fold)
    for fold in (1, 2):
        write_run("bias", quality=0.7, seed=42, fold=fold)
    runs = read_runs([tmp_path])
    in_fold = {
        model: [run for run in runs if run.model == model and dict(run.replicate)["split.fold"] == 1]
        for model in ("svd", "bias")
    }
    svd, bias = (np.mean([run.metrics["test/rmse"] for run in in_fold[model]]) for model in ("svd", "bias"))
    (pair,) = pairs_of(tmp_path, "test/rmse")
    assert pair.difference == pytest.approx(svd - bias, rel=1e-5)


def test_p_values_are_corrected_for_all_pairs_and_the_best_stand_first(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, (model, quality) in enumerate({"a": 0.8, "b": 0.78, "c": 0.77, "d": 0.5}.items()):
        write_run(model, quality=quality, seed=seed)
    family = family_of(tmp_path)
    best = [group.label for group in sorted(family.groups, key=lambda group: group.members[0].metrics["test/rmse"])]
    pairs = pairwise(family, "test/rmse")
    assert [(pair.first.label, pair.second.label) for pair in pairs] == list(combinations(best, 2))
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm(np.array([pair.p for pair in pairs])))
    assert len(pairwise(family, "test/rmse", limit=2)) == 1


def test_the_order_of_the_rows_does_not_matter(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", quality=0.8)
    folder = write_run("bias", quality=0.7)
    (before,) = pairs_of(tmp_path, "test/rmse")
    predictions(folder).sample(fraction=1.0, shuffle=True, seed=1).write_parquet(folder / "predictions.parquet")
    (after,) = pairs_of(tmp_path, "test/rmse")
    assert (after.difference, after.p, after.n_better) == pytest.approx((before.difference, before.p, before.n_better))


def test_tables_of_older_versions_are_paired_with_those_of_this_one(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", quality=0.8)
    folder = write_run("bias", quality=0.7)
    (before,) = pairs_of(tmp_path, "test/rmse")
    rows = predictions(folder).drop("title")  # older tables have titles and exact predictions
    rows = rows.with_columns(prediction=pl.Series(round_digits(rows["prediction"].to_numpy(), 13)))
    write_parquet(folder / "predictions.parquet", [rows[:700], rows[700:]])
    (after,) = pairs_of(tmp_path, "test/rmse")
    assert (after.difference, after.p) == pytest.approx((before.difference, before.p), abs=2**-13 * 16)
    assert after.n_better + after.n_worse == 300  # users


def test_runs_with_other_rows_are_left_out(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality in (("svd", 0.9), ("bias", 0.8)):
        write_run(model, quality=quality)
    folder = write_run("popularity", quality=0.5)
    predictions(folder).head(100).write_parquet(folder / "predictions.parquet")
    (pair,) = pairs_of(tmp_path, "test/rmse")
    assert {pair.first.label, pair.second.label} == {"svd", "bias"}
    judged = pl.read_parquet(folder / "recommendations.parquet").with_columns(n_relevant=3)
    judged.write_parquet(folder / "recommendations.parquet")
    assert len(pairs_of(tmp_path, "test/ndcg@10")) == 1


def test_titles_of_a_franchise_stay_together_and_orders_are_resampled(
    write_score_run: WriteRun, tmp_path: Path
) -> None:
    first, second = (predictions(write_score_run(model, quality=q)) for model, q in (("bert", 0.8), ("tfidf", 0.5)))
    target = first["target"].to_numpy()
    rows = [np.repeat(np.arange(1200), np.repeat(count, 6)) for count in draw_counts(200, ORDER_RESAMPLES, 0)[:200]]
    slow = [
        spearmanr(first["prediction"].to_numpy()[drawn], target[drawn]).statistic
        - spearmanr(second["prediction"].to_numpy()[drawn], target[drawn]).statistic
        for drawn in rows
    ]
    for metric in ("test/spearman", "test/pearson", "test/r2", "test/unit_mse"):
        (pair,) = pairs_of(tmp_path, metric)
        assert (pair.first.label, pair.unit, pair.n_units) == ("bert", "clusters", 200)
        assert pair.effect > 0
    spearman = pairs_of(tmp_path, "test/spearman")[0]
    assert spearman.interval == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.01)


def test_says_why_there_are_no_pairs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", fold=1)
    assert why_no_pairs(family_of(tmp_path), "test/rmse") == "fewer than two configurations have test/rmse"
    write_run("bias", fold=2)
    assert why_no_pairs(family_of(tmp_path), "test/rmse") == "no two configurations were evaluated on the same split"
    write_run("bias", fold=1)
    assert why_no_pairs(family_of(tmp_path), "test/rmse") is None
    for metric, why in {
        "test/coverage@10": "cannot be computed for single users",
        "test/rmse/cold_users": "do not mark the rows",
        "test/bias": "cannot be computed",
        "val/rmse": "saved predictions.parquet with the same val rows",
    }.items():
        assert why in (why_no_pairs(family_of(tmp_path), metric) or "")
        assert pairs_of(tmp_path, metric) == []


def test_runs_without_tables_are_not_paired(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd")
    write_run("bias", tables=False)
    assert pairs_of(tmp_path, "test/rmse") == []
    assert "saved predictions.parquet" in (why_no_pairs(family_of(tmp_path), "test/rmse") or "")


def test_the_rows_that_most_groups_have_are_compared(write_run: WriteRun, tmp_path: Path) -> None:
    best = write_run("svdpp", quality=0.9)
    predictions(best).head(100).write_parquet(best / "predictions.parquet")
    write_run("svd", quality=0.8)
    assert pairs_of(tmp_path, "test/rmse") == [], "no two have the same rows"
    write_run("bias", quality=0.7)
    (pair,) = pairs_of(tmp_path, "test/rmse")
    assert (pair.first.label, pair.second.label, pair.n_units) == ("svd", "bias", 300)


@pytest.mark.parametrize("n_clusters", [1, 5])
def test_so_few_clusters_are_neither_tested_nor_given_intervals(
    write_score_run: WriteRun, tmp_path: Path, n_clusters: int
) -> None:
    for model, quality in (("tfidf_ridge", 0.3), ("bert", 3.0)):
        path = write_score_run(model, quality=quality) / "predictions.parquet"
        rows = pl.read_parquet(path)
        rows.with_columns(cluster=pl.int_range(pl.len()) % n_clusters).write_parquet(path)
    (family,) = families(read_runs([tmp_path]))
    assert pairwise(family, "test/rmse") == []
    assert "fewer than 6 clusters" in (why_no_pairs(family, "test/rmse") or "")
    assert intervals(family.groups[0].members, ["test/rmse"]) == {}


def test_equal_predictions_are_a_tie_however_many_seeds_there_are(write_run: WriteRun, tmp_path: Path) -> None:
    first, *others = [write_run(model, seed=seed) for model, n in (("bias", 2), ("ease", 3)) for seed in range(n)]
    for other in others:
        (other / "predictions.parquet").write_bytes((first / "predictions.parquet").read_bytes())
    (pair,) = pairs_of(tmp_path, "test/rmse")
    assert (pair.difference, pair.effect, pair.p, pair.n_better, pair.n_worse) == (0.0, 0.0, 1.0, 0, 0)
