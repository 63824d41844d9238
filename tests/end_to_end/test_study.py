"""`anirec study` on a user's own study, with generated data."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Anirec = Callable[..., object]
YAML = """
question: Who will love it?
source: A. Author, 2025
parts:
  ratings:
    question: How well?
    metric: test/rmse
    size: {ratings: 1000}
    data: {mal_2016: , demo_ratings: }
    overrides: dataset.source.n_users=200 dataset.source.n_items=80 dataset.source.ratings_per_user=20 trainer=cpu
    commands: ["model=popularity,svd metrics=ratings_only"]
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "study.yaml").write_text(YAML)
    (folder / "published.csv").write_text("model,source,test/rmse\nsvd,paper,1.25\n")
    return folder


@pytest.mark.slow
def test_a_study_compares_its_results_with_the_published_figures(anirec: Anirec, tmp_path: Path, mine: Path) -> None:
    done = anirec("study", "mine", ANIREC_DATA=str(tmp_path))
    assert "generated data" in done.stdout
    assert "(mal_2016: 2 of 2 files are missing" in done.stdout
    results = pl.read_csv(tmp_path / "outputs" / "studies" / "mine" / "results.csv")
    assert sorted(results["model"]) == ["popularity", "svd"]
    report = (tmp_path / "outputs" / "studies" / "mine" / "report.md").read_text()
    assert "anirec run -m dataset=demo_ratings" in report
    assert f"| RMSE | 1.25 | {results.filter(model='svd')['test/rmse:mean'].item():.4f} |" in report

    again = anirec("study", "mine", ANIREC_DATA=str(tmp_path))
    assert again.stderr.count("already done") == 2
    assert len(list(tmp_path.glob("outputs/demo_ratings/*/*"))) == 2


@pytest.mark.slow
def test_a_failed_command_does_not_stop_the_others(anirec: Anirec, tmp_path: Path, mine: Path) -> None:
    failing = "commands: [model=svd dataset.min_user_ratings=100000, "
    (mine / "study.yaml").write_text(YAML.replace("commands: [", failing))
    done = anirec("study", "mine", ANIREC_DATA=str(tmp_path), expect=1)
    assert "Jobs failed in these commands:\nanirec run -m dataset=demo_ratings" in done.stdout
    assert len(pl.read_csv(tmp_path / "outputs" / "studies" / "mine" / "results.csv")) == 2


def test_the_list_has_every_study_and_its_data(anirec: Anirec, tmp_path: Path) -> None:
    listed = anirec("study", ANIREC_DATA=str(tmp_path)).stdout
    assert "anime_alchemy_svd" in listed
    assert "votes: demo_tags: generated data" in listed
