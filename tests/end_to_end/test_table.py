"""From a table of one's own to recommendations by three commands; the rating scale of a run is that of its data."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from .conftest import Anirec, runs

OUTPUTS = "paths.outputs=outputs"
N_USERS, N_TITLES, N_RATED = 150, 50, 16


def steps() -> list[tuple[str, str, int]]:
    """Return users, titles and ratings from 1 to 10, with some structure."""
    rng = random.Random(1)
    rows = []
    for user in range(N_USERS):
        for title in rng.sample(range(N_TITLES), N_RATED):
            mean = 5.5 + (title % 7 - 3) * 0.8 + (user % 5 - 2) * 0.5 + (2 if (user + title) % 2 else 0)
            rows.append((f"u{user}", f"Film {title}", min(10, max(1, round(rng.gauss(mean, 1))))))
    return rows


SCALES: dict[str, tuple[Callable[[int], str], str, str]] = {
    "stars": (lambda step: f"{step / 2:g}".replace(".", ","), ";", "0.5-5"),
    "percent": (lambda step: str(step * 10), ",", "10-100"),
    "points": (str, ",", "1-10"),
}


@pytest.fixture(scope="module")
def place(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the same ratings on each of three scales."""
    folder = tmp_path_factory.mktemp("table")
    call = anirec_in(folder)
    for name, (written, separator, scale) in SCALES.items():
        rows = [separator.join((user, title, written(step))) for user, title, step in steps()]
        (folder / f"{name}.csv").write_text("\n".join([separator.join(("User", "Film", "Stars")), *rows]) + "\n")
        call("data", "new", f"{name}.csv", "--scale", scale)
        call("run", "--config-dir", "my_conf", f"dataset={name}", "model=svd", "model.epochs=4", OUTPUTS)
    return folder


LIKES = ("Film 3; Film 8", "Film 3=9; Film 8=1")


def metrics(place: Path, name: str) -> dict[str, float]:
    (run,) = (place / "outputs" / name).glob("svd/*")
    found: dict[str, float] = json.loads((run / "metrics.json").read_text())
    return found


def test_three_commands_lead_to_recommendations(place: Path, anirec_in: Callable[..., Anirec]) -> None:
    call = anirec_in(place)
    (run,) = (place / "outputs" / "stars").glob("svd/*")
    done = call("recommend", str(run), "--likes", "Film 3=4.5; Film 8=1", "-k", "5", "--json", "list.json")
    assert "Film" in done.stdout
    listed = json.loads((place / "list.json").read_text())
    assert len(listed) == 5
    assert all(0.5 <= row["rating"] <= 5 for row in listed)
    assert not {"Film 3", "Film 8"} & {row["title"] for row in listed}
    refused = call("recommend", str(run), "--likes", "Film 3=9", expect=2)
    assert "0.5 to 5" in refused.stderr


def test_a_model_learns_the_same_on_every_scale(place: Path) -> None:
    points, stars, percent = (metrics(place, name) for name in ("points", "stars", "percent"))
    for name in ("rmse", "mae"):
        assert stars[f"test/{name}"] == pytest.approx(points[f"test/{name}"] / 2, rel=1e-3)
        assert percent[f"test/{name}"] == pytest.approx(points[f"test/{name}"] * 10, rel=1e-3)
    assert stars["test/ndcg@10"] == pytest.approx(points["test/ndcg@10"], abs=0.02)
    predicted = pl.read_parquet(next((place / "outputs" / "percent").glob("svd/*")) / "predictions.parquet")
    assert predicted["target"].min() == 10
    assert predicted["prediction"].mean() > 30  # type: ignore[operator]


def test_what_the_data_lack_is_said_before_training(place: Path, anirec_in: Callable[..., Anirec]) -> None:
    call = anirec_in(place)
    dry = ("run", "--config-dir", "my_conf", "dataset=stars", OUTPUTS)
    done = call(*dry, "model=popularity")
    assert done.stderr.index("diversity@10 is left out: it needs the genres") < len(done.stderr)
    refused = call(*dry, "model=popularity", "metrics.relevant_from=8", expect=1)
    assert "from 0.5 to 5; try metrics.relevant_from=4" in refused.stderr
    assert "diversity" in call(*dry, "model=popularity", "objective=val/diversity@10", expect=1).stderr
    assert "needs genres" in call(*dry, "model=genre_popularity", expect=2).stderr


def test_implicit_feedback_is_ranked_and_not_predicted(place: Path, anirec_in: Callable[..., Anirec]) -> None:
    call = anirec_in(place)
    rows = [f"{user},{title}" for user, title, _ in steps()]
    (place / "plays.csv").write_text("\n".join(["user,film", *rows]) + "\n")
    assert "every row is an interaction" in call("data", "new", "plays.csv").stdout
    own = ("--config-dir", "my_conf", "dataset=plays", OUTPUTS)
    refused = call("run", *own, "model=svd", expect=2).stderr
    assert "model=svd needs rating" in refused
    assert "rmse, mae, r2: need ratings" in refused
    call("run", *own, "model=ease", "metrics=ranking", "objective=val/ndcg@10")
    (run,) = (place / "outputs" / "plays").glob("ease/*")
    found = json.loads((run / "metrics.json").read_text())
    assert found["test/ndcg@10"] > 0
    assert not any("rmse" in name for name in found)
    assert not (run / "predictions.parquet").exists()
    assert "You know Film" in call("recommend", str(run), "--user", "u3").stdout
    lists = [call("recommend", str(run), "--likes", text, "--csv", f"{n}.csv") for n, text in enumerate(LIKES)]
    assert ["have no ratings" in done.stdout for done in lists] == [False, True]
    assert not any("You rated" in done.stdout for done in lists)
    assert pl.read_csv(place / "0.csv")["title"].equals(pl.read_csv(place / "1.csv")["title"])


def test_the_verbs_of_data_know_the_folder(place: Path, anirec_in: Callable[..., Anirec]) -> None:
    call = anirec_in(place)
    assert "stars" in call("data", "list", "--config-dir", "my_conf").stdout
    assert f"{len(steps()):,} entries" in call("data", "prepare", "stars", "--config-dir", "my_conf").stdout
    assert "0.5  █" in call("data", "describe", "stars", "--config-dir", "my_conf").stdout
    assert "no such dataset" in call("data", "prepare", "stars", expect=2).stderr
    path = place / "my_conf" / "dataset" / "wrong.yaml"
    content = yaml.safe_load((place / "my_conf" / "dataset" / "stars.yaml").read_text())
    content["source"]["ratings"]["columns"] |= {"ratin": "Stars"}
    path.write_text(yaml.safe_dump(content))
    assert "did you mean rating?" in call("data", "prepare", "wrong", "--config-dir", "my_conf", expect=2).stderr
    path.unlink()


def test_a_changed_argument_of_a_hand_written_source_gives_other_tables(
    anirec_in: Callable[..., Anirec], tmp_path: Path
) -> None:
    (tmp_path / "my_conf" / "dataset").mkdir(parents=True)
    (tmp_path / "my_conf" / "times.py").write_text(SOURCE)
    (tmp_path / "my_conf" / "dataset" / "times.yaml").write_text(
        "# Times.\nsource: {_target_: times.Times, factor: 1.0}\n"
    )
    call = anirec_in(tmp_path)
    own = ("run", "--config-dir", "my_conf", "dataset=times", "model=popularity", "metrics=ratings_only", OUTPUTS)
    call(*own)
    call(*own, "dataset.source.factor=0.5")
    first, second = (json.loads((run / "metrics.json").read_text()) for run in runs(tmp_path, "popularity", "times"))
    assert second["test/rmse"] == pytest.approx(first["test/rmse"] / 2, rel=1e-3)
    (tmp_path / "my_conf" / "times.py").write_text(SOURCE.replace("title=", "name="))
    stopped = call(*own, "dataset.source.factor=0.7", expect=1).stderr
    assert "times.Times breaks its contract" in stopped
    assert "name is not declared" in stopped


SOURCE = """
import polars as pl
from anirec.data.scale import Scale
from anirec.data.sources.base import Source

class Times(Source):
    columns = frozenset({"user_id", "item_id", "rating"})
    version = 1

    def __init__(self, *, factor):
        self.factor, self.scale = factor, Scale(factor, 10 * factor, factor)

    def interactions(self):
        n = pl.int_range(3000, eager=True)
        rating = ((n * 7919) % 10 + 1) * self.factor
        return pl.LazyFrame({"user_id": n // 20, "item_id": (n * 31) % 100, "rating": rating.cast(pl.Float32)})

    def items(self):
        return pl.LazyFrame({"item_id": range(100)}).with_columns(title=pl.col("item_id").cast(pl.String))
"""
