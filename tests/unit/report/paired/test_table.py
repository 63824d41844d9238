import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from anirec.report.compare import compare
from anirec.report.groups import families
from anirec.report.paired import table as pairs_table
from anirec.report.paired.tests import why_unpaired
from anirec.report.runs import read_runs

WriteRun = Callable[..., Path]


def printed(folder: Path, *, pairs: bool = False, metric: str = "test/rmse") -> str:
    stream = io.StringIO()
    compare([folder], pairs=pairs, metric=metric, console=Console(file=stream, width=80))
    return stream.getvalue()


def in_words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def outputs(write_run: WriteRun, tmp_path: Path) -> Path:
    """Two models that cannot be told apart, and a worse one."""
    write_run("svdpp", quality=0.8)
    write_run("surprise_svdpp", quality=0.8)
    write_run("popularity", quality=0.5)
    return tmp_path


def test_every_pair_has_a_row_that_says_who_is_better(outputs: Path) -> None:
    table = printed(outputs, pairs=True).partition("pairs by test/rmse")[2]
    assert "svdpp < popularity" in table
    assert "≈" in table
    assert "2 of 3 pairs differ significantly. Not significantly different from" in in_words(table)
    assert "300 users" in in_words(table)
    by_ndcg = printed(outputs, pairs=True, metric="test/ndcg@10").partition("pairs by")[2]
    assert "svdpp > popularity" in by_ndcg


def test_fits_80_columns(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, n_factors in enumerate((20, 40, 80)):
        settings = {"model.n_factors": n_factors, "model.neighbourhood": n_factors // 2}
        write_run("surprise_svdpp", quality=0.8 - seed / 10, config=settings, seed=seed)
    text = printed(tmp_path, pairs=True)
    assert max(map(len, text.splitlines())) <= 80
    assert "95% interval" in text.partition("pairs by")[2]


def test_the_verdict_names_models_not_different_from_the_best(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = in_words(printed(outputs))
    best, rival = ("svdpp", "surprise_svdpp") if "from svdpp" in text else ("surprise_svdpp", "svdpp")
    assert f"Not significantly different from {best}: {rival}." in text
    monkeypatch.setattr(pairs_table, "CHEAP_BYTES", 0)
    assert "significantly" not in printed(outputs), "tables so large are only read with --pairs"


def test_a_clear_winner_is_named(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp", quality=0.9)
    write_run("popularity", quality=0.5)
    assert "svdpp is significantly better than popularity" in in_words(printed(tmp_path))


def test_one_configuration_has_no_pairs_and_nothing_is_said(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svdpp")
    assert printed(tmp_path, pairs=True) == printed(tmp_path)
    assert "paired" not in printed(tmp_path)


def test_says_what_is_not_paired_and_why(outputs: Path, write_run: WriteRun) -> None:
    write_run("ease", quality=0.3, tables=False)
    assert "Not tested" in printed(outputs, pairs=True)
    assert "≈ ease" not in printed(outputs, pairs=True)
    text = in_words(printed(outputs, pairs=True, metric="test/coverage@10"))
    assert "no paired tests: test/coverage@10 cannot be computed for single users" in text


def test_a_best_mean_of_easier_splits_is_not_called_better(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("svd", quality=0.8, fold=0)
    write_run("svd", quality=0.4, fold=1)
    write_run("bias", quality=0.6, fold=0)
    for text in (printed(tmp_path), printed(tmp_path, pairs=True)):
        assert "On shared splits, bias is significantly worse than svd: the means" in in_words(text)
        assert "better than" not in in_words(text)


def test_few_units_give_a_warning(write_run: WriteRun, tmp_path: Path) -> None:
    for model, quality in (("svd", 0.8), ("bias", 0.6)):
        path = write_run(model, quality=quality) / "predictions.parquet"
        pl.read_parquet(path).head(60).write_parquet(path)
    assert "Fewer than 30 users" in printed(tmp_path, pairs=True)


def test_the_reason_why_a_configuration_was_not_tested_is_the_true_one(outputs: Path, write_run: WriteRun) -> None:
    (write_run("bpr", quality=0.4) / "predictions.parquet").unlink()
    path = write_run("item_knn", quality=0.4) / "predictions.parquet"
    pl.read_parquet(path).filter(pl.col("user_id") > 700).write_parquet(path)
    text = in_words(printed(outputs))
    assert "bpr (no predictions.parquet of bpr)" in text
    assert "item_knn (other rows evaluated)" in text
    assert "popularity (" not in text
    write_run("als", quality=0.4, fold=3)
    (family,) = families(read_runs([outputs]))
    groups = {group.model: group for group in family.groups}
    assert why_unpaired(family, groups["svdpp"], groups["als"], "test/rmse") == "no common split"
