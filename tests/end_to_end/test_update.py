"""`anirec update`: a run continues on newer rows with new users and titles, and is compared with itself as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from .conftest import Anirec, content, runs

COLUMNS = ["dataset.source.ratings.columns.timestamp=timestamp", "dataset.source.folder=.", "dataset.source.scale=1-10"]
RUN = ["dataset=table", *COLUMNS, "split=temporal", "split.test=0.2", "split.val=0.1", "trainer=cpu"]
NEW_USER, NEW_TITLE = "a-new-user", "a-new-title"  # the first of their vocabularies, which shifts all indices


def rows(n_users: int, first_day: int, last_day: int, seed: int) -> pl.DataFrame:
    """Return random rows of some users, whose ratings depend on user and title."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, 40)) < 0.4)
    rating = np.clip(np.round(7 + 2 * np.sin(user) * np.cos(item) + rng.normal(0, 0.5, len(user))), 1, 10)
    day = rng.integers(first_day, last_day, len(user))
    ids = {"user_id": [f"u{one}" for one in user], "item_id": [f"t{one}" for one in item]}
    time = np.datetime64("2020-01-01") + day.astype("timedelta64[D]")
    return pl.DataFrame({**ids, "rating": rating.astype(int), "timestamp": time.astype("datetime64[ms]")})


@pytest.fixture(scope="module")
def place(anirec_in: Callable[..., Anirec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs of several models, and newer rows in the file from which they were trained."""
    folder = tmp_path_factory.mktemp("update")
    anirec = anirec_in(folder, ANIREC_CACHE=str(folder / "cache"))
    old = rows(60, 0, 200, seed=1)
    old.write_csv(folder / "ratings.csv")
    anirec("run", "-m", *RUN, "model=svd,ease,als,ncf")
    anirec("run", *RUN[:-4], "split=random", "trainer=cpu", "model=bias")
    new = rows(60, 200, 300, seed=2).filter(pl.col("item_id") != "t39")
    added = new[:120].with_columns(user_id=pl.lit(NEW_USER), item_id=pl.format("t{}", pl.int_range(120) % 39))
    titles = new[120:200].with_columns(item_id=pl.lit(NEW_TITLE))
    table = pl.concat([old, new, added, titles]).unique(["user_id", "item_id"], keep="first", maintain_order=True)
    table.write_csv(folder / "ratings.csv")
    return folder


@pytest.fixture
def anirec(anirec_in: Callable[..., Anirec], place: Path) -> Anirec:
    return anirec_in(place, ANIREC_CACHE=str(place / "cache"))


def one(place: Path, model: str) -> Path:
    return runs(place, model, "table")[-1]


def test_the_earlier_model_is_evaluated_as_it_is_and_its_parameters_are_the_start(place: Path, anirec: Anirec) -> None:
    original = one(place, "svd")
    printed = anirec("update", str(original), "model.lr=1e-9", "model.epochs=1", "trainer.max_epochs=1").stdout
    assert "svd has continued from the checkpoint" in printed
    before, after = (
        pl.read_parquet(one(place, f"svd_{which}") / "predictions.parquet").filter(split="test")
        for which in ("before", "updated")
    )
    before.select("user_id", "item_id").write_csv(place / "pairs.csv")
    anirec("predict", str(original), "--input", "pairs.csv", "--output", "predicted.csv")
    predicted = pl.read_csv(place / "predicted.csv")["prediction"]
    np.testing.assert_allclose(before["prediction"], predicted, rtol=0, atol=2e-3)
    is_old = (before["user_id"] != NEW_USER) & (before["item_id"] != NEW_TITLE)
    assert not is_old.all()
    np.testing.assert_allclose(
        after.filter(is_old)["prediction"], predicted.filter(is_old), rtol=0, atol=4e-3
    )  # the table is rounded


@pytest.mark.parametrize("model", ["svd", "als", "ncf"])
def test_models_that_learn_step_by_step_continue_and_learn_new_users(place: Path, anirec: Anirec, model: str) -> None:
    printed = " ".join(anirec("update", str(one(place, model))).stdout.split())
    assert f"{model} has continued from the checkpoint of" in printed
    run = one(place, f"{model}_updated")
    provenance = content(run, "provenance.json")
    assert provenance["updates"] == str(one(place, model).resolve())
    assert provenance["warm_start"]["known"] == {"user_id": 60, "item_id": 40}
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    users = state["RatingData"]["user_id"]
    assert state["state_dict"]["user_factors"][users.index(NEW_USER)].any()
    assert f"{model}_before" in printed
    assert f"{model}_updated" in printed


def test_a_damaged_checkpoint_is_refused_before_a_folder_is_created(
    place: Path, anirec: Anirec, tmp_path: Path
) -> None:
    before = sorted(place.glob("outputs/*/*/*"))
    run = shutil.copytree(runs(place, "svd", "table")[0], tmp_path / "run")
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    short = {**content, "state_dict": {**state, "user_factors": state["user_factors"][:5]}}
    lost = {**content, "state_dict": {key: state[key] for key in state if key != "user_factors"}}
    for damaged in (short, lost, None):
        path.unlink()
        torch.save(damaged, path) if damaged else path.write_bytes(b"truncated")
        assert "not loaded:" in anirec("update", str(run), expect=2).stderr
    assert sorted(place.glob("outputs/*/*/*")) == before


def test_what_the_earlier_run_knows_is_printed_and_other_ids_are_refused(place: Path, anirec: Anirec) -> None:
    svd, table = runs(place, "svd", "table")[0], pl.read_csv(place / "ratings.csv")
    table.with_columns(user_id="x" + pl.col("user_id"), item_id="x" + pl.col("item_id")).write_csv(
        place / "renamed.csv"
    )
    table.with_columns(user_id="x" + pl.col("user_id")).write_csv(place / "users.csv")
    renamed = anirec("update", str(svd), "dataset.source.ratings.files=renamed.csv", expect=2).stderr
    assert "knows 0 of 61 users and 0 of 41 titles" in " ".join(renamed.split())
    done = anirec("update", str(svd), "dataset.source.ratings.files=users.csv")
    assert "The earlier run knows only 0 of 61 users and 40 of 41 titles" in " ".join(done.stderr.split())
    assert "The earlier run knows 0 of 61 users and 40 of 41 titles." in " ".join(done.stdout.split())
    assert "No new rows" not in done.stdout
    rows(60, 0, 200, seed=1).write_csv(place / "old.csv")
    same = anirec("update", str(svd), "dataset.source.ratings.files=old.csv").stdout
    assert "No new rows" in same


def test_closed_forms_and_other_settings_are_trained_from_scratch_and_the_output_says_so(
    place: Path, anirec: Anirec
) -> None:
    printed = " ".join(anirec("update", str(one(place, "ease"))).stdout.split())
    assert "ease is trained from scratch: its parameters are a function of all training rows" in printed
    anirec("run", *RUN, "model=ease")
    updated, fresh = one(place, "ease_updated"), one(place, "ease")
    assert content(updated, "metrics.json") == content(fresh, "metrics.json")
    assert content(updated, "provenance.json")["identity"] != content(fresh, "provenance.json")["identity"]
    old = runs(place, "svd", "table")[0]
    printed = " ".join(anirec("update", str(old), "model.n_factors=7").stdout.split())
    assert "svd is trained from scratch: user_factors has the shape (62, 7), and had (61, 80)" in printed


def test_rows_that_the_run_has_learned_are_never_tested(place: Path, anirec: Anirec) -> None:
    updated = one(place, "svd_updated")
    printed = anirec("update", str(updated), "split.test=0.6", expect=2).stderr
    assert "has learned from rows until 2020-" in printed
    assert "Use newer data or a later window" in printed
    at_random = one(place, "bias")
    assert "does not divide the rows at one time" in anirec("update", str(at_random), expect=2).stderr
