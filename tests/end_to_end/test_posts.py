"""Commands that predict the score of posts from tags: run folders, predictions, and errors for invalid input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from anirec.config.validate import validate
from anirec.errors import UserError
from anirec.inference.predict import predict

from .conftest import Anirec, content

SMALL = [
    *("dataset.source.n_posts=4000", "dataset.source.n_tags=80", "dataset.source.n_groups=3", "trainer=cpu"),
    *("dataset.sampling.zeros=1000", "dataset.tags.min_posts=40"),
]
HUBER = """# Linear regression with the Huber loss, which is robust to outliers.
defaults:
  - override /task@_global_: posts
_target_: anirec.models.posts.sklearn.SklearnModel
regressor:
  _target_: sklearn.linear_model.HuberRegressor
  max_iter: 1000
  tol: 1.0e-9
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("posts")


@pytest.fixture(scope="module")
def anirec(anirec_in: Callable[..., Anirec], place: Path) -> Anirec:
    return anirec_in(place, ANIREC_CACHE=str(place / "cache"), ANIREC_DATA=str(place / "data"))


@pytest.fixture(scope="module")
def finished(anirec: Anirec, place: Path) -> tuple[Path, str]:
    """Return a run folder and what the run printed."""
    printed = anirec("run", "dataset=demo_tags", "model=tag_pca_ols", "model.components=30", *SMALL).stderr
    (run,) = runs(place, "tag_pca_ols")
    return run, printed


@pytest.fixture
def run(finished: tuple[Path, str]) -> Path:
    return finished[0]


@pytest.fixture
def stranger(run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run folder, which a test may change."""
    (tmp_path / "stranger" / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.json", "checkpoints/best.ckpt"):
        shutil.copyfile(run / name, tmp_path / "stranger" / name)
    return tmp_path / "stranger"


def runs(place: Path, model: str) -> list[Path]:
    return sorted(path.parent for path in place.glob(f"outputs/demo_tags/{model}/*/status.json"))


def write_rows(path: Path, *tags: Any) -> Path:
    path.write_text("".join(json.dumps({"post": number, "tags": some}) + "\n" for number, some in enumerate(tags)))
    return path


def test_a_run_writes_its_folder(finished: tuple[Path, str]) -> None:
    run, printed = finished
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "provenance.json", "status.json", "metrics.json", "history.csv", "findings.txt"}
    tables = {"scores", "tag_pairs", "tag_ties", "effects", "components", "predictions"}
    assert names >= {f"{table}.parquet" for table in tables}
    figures = {"scores", "tag_pairs", "tag_ties", "explained_variance", "tag_effects", "error_by_band", "residuals"}
    assert {path.name for path in (run / "figures").iterdir()} == {f"{figure}.png" for figure in figures}
    assert content(run, "status.json")["state"] == "finished"
    metrics, provenance = content(run, "metrics.json"), content(run, "provenance.json")
    assert metrics["floor/rmse/population"] < metrics["test/rmse/population"]
    assert metrics["test/rmse"] < metrics["test/rmse/by_mean"]
    assert "test/mae/score_1_2" in metrics
    assert provenance["data"]["sampling"]["zeros"] == 1000
    assert provenance["data"]["n_tags"] == len(pl.read_parquet(run / "effects.parquet"))
    predictions = pl.read_parquet(run / "predictions.parquet")
    assert len(predictions.filter(split="test")) == provenance["split"]["n_test"]
    assert len(predictions.filter(split="population")) == provenance["split"]["n_population"] == 400
    findings = (run / "findings.txt").read_text().splitlines()
    for words, sentence in zip(
        ("test posts", "sampled or not", "components explain", "hold jointly"), findings, strict=True
    ):
        assert words in sentence
    assert all(" ".join(sentence.split()) in " ".join(printed.split()) for sentence in findings)
    assert "best reachable rmse/population on this data" in printed


def test_an_estimator_of_a_user_yaml(anirec: Anirec, place: Path, tmp_path: Path) -> None:
    """It trains without validation posts, and predicts."""
    (place / "mine" / "model").mkdir(parents=True)
    (place / "mine" / "model" / "huber.yaml").write_text(HUBER)
    anirec("run", "--config-dir", "mine", "model=huber", *SMALL, "split.val=0", "objective=null")
    (one,) = runs(place, "huber")
    assert not any(name.startswith("val/") for name in content(one, "metrics.json"))
    assert len(pl.read_parquet(one / "effects.parquet").drop_nulls("effect")) > 30
    predict(one, input=write_rows(tmp_path / "new.jsonl", ["highres"], []), output=tmp_path / "out.parquet")
    liked, plain = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_list()
    assert liked > plain


def test_tags_as_text_and_as_lists_give_the_same_predictions(anirec: Anirec, run: Path, tmp_path: Path) -> None:
    tags = ["1girl highres solo", "highres", "unheard_of", "highres unheard_of", ""]
    lists = write_rows(tmp_path / "lists.jsonl", *(some.split() for some in tags))
    counts = predict(run, input=lists, output=tmp_path / "out.jsonl")
    assert counts == {"rows": 5, "posts without a known tag": 2}
    found = pl.read_ndjson(tmp_path / "out.jsonl")
    assert found["post"].to_list() == [0, 1, 2, 3, 4]
    pl.DataFrame({"post": range(5), "tags": tags}).write_csv(tmp_path / "text.csv")
    files = ("--input", str(tmp_path / "text.csv"), "--output", str(tmp_path / "out.csv"))
    printed = anirec("predict", str(run), *files).stdout
    assert "5 predictions in" in printed
    assert "posts without a known tag: 2" in printed
    assert pl.read_csv(tmp_path / "out.csv")["prediction"].to_list() == pytest.approx(found["prediction"].to_list())
    effects = dict(pl.read_parquet(run / "effects.parquet").select("tag", "effect").iter_rows())
    known, highres, nothing, also_highres, empty = found["prediction"].to_list()
    assert nothing == empty
    assert highres == also_highres == pytest.approx(nothing + effects["highres"], abs=1e-5)
    assert known == pytest.approx(highres + effects["1girl"] + effects["solo"], abs=1e-5)


def test_posts_without_a_known_tag_are_predicted_too(run: Path, tmp_path: Path) -> None:
    for name, rows in (("none", [[]]), ("null", [None, None]), ("both", [None, []])):
        counts = predict(run, input=write_rows(tmp_path / f"{name}.jsonl", *rows), output=tmp_path / "out.jsonl")
        assert counts["posts without a known tag"] == len(rows)


def test_invalid_input_files_are_errors(run: Path, tmp_path: Path) -> None:
    (tmp_path / "years.jsonl").write_text('{"tags": 2011}\n')
    (tmp_path / "other.csv").write_text("synopsis\nA ghost.\n")
    (tmp_path / "no_rows.csv").write_text("tags\n")
    for name, message in (
        ("years.jsonl", "column tags holds Int64, expected text or lists of text"),
        ("other.csv", "no column tags; there are synopsis"),
        ("no_rows.csv", "the file has no rows"),
    ):
        with pytest.raises(UserError, match=message):
            predict(run, input=tmp_path / name, output=tmp_path / "out.jsonl")
    with pytest.raises(UserError, match=r"CSV cannot hold lists \(tags\); write to \.jsonl"):
        predict(run, input=write_rows(tmp_path / "new.jsonl", ["solo"]), output=tmp_path / "out.csv")


RIDGE = {"_target_": "sklearn.linear_model.Ridge"}
CALLS = {"_target_": "hydra.utils.get_method", "path": "os.system"}
PIPELINE = {"_target_": "sklearn.pipeline.Pipeline", "steps": [["fit", RIDGE]]}


@pytest.mark.parametrize(
    ("regressor", "message"),
    [
        (PIPELINE | {"memory": "some/folder"}, "memory could unpickle files, which runs code; not loaded"),
        (
            {
                "_target_": "sklearn.model_selection.GridSearchCV",
                "estimator": PIPELINE,
                "param_grid": {"steps__memory": ["some/folder"]},
            },
            "memory could unpickle files, which runs code; not loaded",
        ),
        ({**RIDGE, "_target_": "sklearn.pipeline.make_pipeline"}, "names sklearn.pipeline.make_pipeline, which is not"),
        ({"_target_": "sklearn.preprocessing.FunctionTransformer", "func": CALLS}, "hydra.utils.get_method"),
        (PIPELINE | {"steps": [["fit", {"_target_": "os.system", "command": "true"}]]}, "names os.system"),
        ({"_target_": "joblib.load", "filename": "x"}, "names joblib.load"),
        ({"_target_": "anirec.models.posts.two_part.TwoPart", "classifier": CALLS, "regressor": RIDGE}, "get_method"),
    ],
)
def test_an_untrusted_config_calls_nothing_else(
    stranger: Path, tmp_path: Path, regressor: dict[str, Any], message: str
) -> None:
    config = yaml.safe_load((stranger / "config.yaml").read_text())
    config["model"] = {"_target_": "anirec.models.posts.sklearn.SklearnModel", "regressor": regressor}
    (stranger / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=message):
        predict(stranger, input=write_rows(tmp_path / "new.jsonl", ["solo"]), output=tmp_path / "out.jsonl")


def test_a_damaged_checkpoint_is_an_error(stranger: Path, tmp_path: Path) -> None:
    path = stranger / "checkpoints" / "best.ckpt"
    rows, whole = write_rows(tmp_path / "new.jsonl", ["solo"]), path.read_bytes()
    for n_bytes in (0, 5_000, len(whole) // 2):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(UserError, match="damaged"):
            predict(stranger, input=rows, output=tmp_path / "out.jsonl")
    path.write_bytes(whole)
    checkpoint = torch.load(path, weights_only=True)
    for changed in ({"tags": [*checkpoint["tags"][:-1], ["solo"]]}, {"tags": None}, {"state_dict": {}}):
        torch.save(checkpoint | changed, path)
        with pytest.raises(UserError, match="damaged"):
            predict(stranger, input=rows, output=tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dataset=mal_2016", "model=tag_ridge"], "needs tags, .*Datasets that have it: demo_tags, safebooru"),
        (
            ["dataset=demo_tags", "model=popularity"],
            "needs item_id, user_id, .*this dataset: tag_gbm, tag_mean",
        ),
        (["model=tag_ridge", "model.regressor.alhpa=1"], "did you mean model.regressor.alpha"),
    ],
)
def test_incompatible_choices_are_errors_before_any_work(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        validate(overrides)
