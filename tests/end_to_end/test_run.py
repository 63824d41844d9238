"""`anirec run` and `anirec predict`: the run folder, failures, distributed runs, resumed runs, untrusted runs."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from .conftest import SMALL, Anirec, content, runs


def test_a_run_writes_its_folder(anirec: Anirec, tmp_path: Path) -> None:
    output = anirec("run", *SMALL, "model=popularity", "logger=tensorboard").stderr
    assert "rmse" in output
    assert "best reachable rmse" in output
    (run,) = runs(tmp_path)
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "provenance.json", "status.json", "metrics.json", "history.csv", "tensorboard"}
    assert names >= {"predictions.parquet", "recommendations.parquet", "checkpoints"}
    assert content(run, "status.json")["state"] == "finished"
    metrics = content(run, "metrics.json")
    assert metrics["floor/rmse"] < metrics["test/rmse"]
    assert "test/rmse/cold_users" in metrics
    provenance = content(run, "provenance.json")
    assert provenance["split"]["n_test"] == len(pl.read_parquet(run / "predictions.parquet").filter(split="test"))
    assert provenance["peak_memory_mb"] > 0
    items = pl.read_parquet(run / "items.parquet", columns=["item_id", "title"])
    lists = pl.read_parquet(run / "recommendations.parquet")
    assert len(lists.join(items.drop_nulls(), on="item_id")) == len(lists)
    history = pl.read_csv(run / "history.csv")
    assert history["epoch"].to_list() == [0]
    assert history["val/ndcg@10"].to_list() == [metrics["val/ndcg@10"]]
    findings = (run / "findings.txt").read_text().splitlines()
    assert findings[0].startswith("Equal to damped title means: RMSE")
    assert any("most popular titles" in sentence for sentence in findings)
    figures = {path.stem for path in (run / "figures").iterdir()}
    assert figures == {"error_by_count", "predicted_vs_true", "list_popularity"}


@pytest.mark.slow
def test_the_same_command_gives_the_same_metrics_on_any_number_of_threads(anirec: Anirec, tmp_path: Path) -> None:
    command = ["run", *SMALL, "model=svdpp", "trainer.deterministic=true"]
    for threads in ("1", "2"):
        anirec(*command, cold=True, OMP_NUM_THREADS=threads, NUMBA_NUM_THREADS=threads)
    first, second = runs(tmp_path)
    assert (first / "metrics.json").read_text() == (second / "metrics.json").read_text()


def test_a_failed_job_does_not_stop_the_others(anirec: Anirec, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "broken.yaml").write_text(
        "_target_: broken.Broken\ndamping_user: 1\ndamping_item: 1\n"
    )
    (tmp_path / "broken.py").write_text(
        "from anirec.models.ratings.bias import Bias\n\n\nclass Broken(Bias):\n"
        "    def solve(self):\n        raise ZeroDivisionError('on purpose')\n"
    )
    # Only the last two models have the key damping_user; the default model does not.
    models = ["model=broken,bias,item_knn", "model.damping_user=4"]
    arguments = ["run", "--config-dir", "mine", "-m", *SMALL, *models]
    output = anirec(*arguments, expect=1, PYTHONPATH=str(tmp_path)).stderr
    assert "2 of 3 jobs finished" in output
    assert output.split()[-5:] == ["0000", "model=broken", "ZeroDivisionError:", "on", "purpose"]
    (broken,) = runs(tmp_path, "broken")
    assert content(broken, "status.json")["state"] == "failed"
    assert "Traceback" in (broken / "error.txt").read_text()
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    table = anirec("compare", str(sweep)).stdout
    assert "item_knn" in table
    assert "--where state=failed" in table
    assert "on purpose" in anirec("compare", str(sweep), "--where", "state=failed").stdout


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(anirec: Anirec, tmp_path: Path) -> None:
    """Each run of a sweep has a group of processes of its own."""
    models = ("popularity", "item_knn", "als")
    sweep = ["run", "-m", *SMALL, f"model={','.join(models)}"]
    anirec(*sweep)
    launcher = ["hydra/launcher=local", "hydra.launcher.n_jobs=1"]
    anirec(*sweep, *launcher, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", cold=True)
    for model in models:
        one, two = (content(run, "metrics.json") for run in runs(tmp_path, model))
        assert one.keys() == two.keys()
        assert all(abs(one[name] - two[name]) < 1e-9 for name in one), model


@pytest.mark.slow
def test_a_killed_run_is_resumed_from_its_last_epoch(anirec: Anirec, tmp_path: Path) -> None:
    command = ["run", *SMALL, "model=svd", "model.epochs=60"]
    anirec(*command)
    (whole,) = runs(tmp_path)
    process = subprocess.Popen([sys.executable, "-m", "anirec", *command], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while len(runs(tmp_path)) < 2 or not (runs(tmp_path)[1] / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = runs(tmp_path)[1]
    assert content(killed, "status.json")["state"] == "running"
    anirec(*command, "resume=true")
    assert runs(tmp_path) == [whole, killed]
    assert content(killed, "metrics.json") == content(whole, "metrics.json")
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()


def test_a_finished_run_keeps_the_checkpoints_of_its_config(anirec: Anirec, tmp_path: Path) -> None:
    for which in ("none", "best"):
        anirec("run", *SMALL, "model=bias", f"checkpoints={which}")
    none, best = runs(tmp_path)
    assert [sorted(path.name for path in run.glob("checkpoints/*")) for run in (none, best)] == [[], ["best.ckpt"]]
    (tmp_path / "new.csv").write_text("user_id,item_id\n1,2\n")
    command = ["predict", "--input", "new.csv", "--output", "out.csv"]
    anirec(*command, str(best))
    assert "kept no checkpoint" in anirec(*command, str(none), expect=2).stderr
    refused = anirec("validate", "-m", "seed=1,2", "select=best", "checkpoints=best", expect=2).stderr
    assert "tested from its checkpoints" in refused
    assert "1 run," in anirec("clean", "--dry").stderr
    anirec("clean", "--yes")
    assert runs(tmp_path) == [best]


def test_resuming_a_finished_run_does_nothing(anirec: Anirec, tmp_path: Path) -> None:
    command = ["run", *SMALL, "model=bias"]
    anirec(*command)
    (run,) = runs(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert "nothing is left to do" in anirec(*command, "resume=true", "seed=7").stderr  # bias ignores the seed
    assert runs(tmp_path) == [run]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_predictions_for_new_rows(anirec: Anirec, tmp_path: Path) -> None:
    anirec("run", *SMALL, "model=bias")
    (run,) = runs(tmp_path)
    (tmp_path / "new.csv").write_text("user_id,item_id\n1,2\n1,999999\n777777,2\n")
    output = anirec("predict", str(run), "--input", "new.csv", "--output", "out.jsonl").stdout
    assert "unknown users: 1, unknown titles: 1" in output
    assert pl.read_ndjson(tmp_path / "out.jsonl")["prediction"].is_between(1, 10).all()
    (tmp_path / "bad.csv").write_text("user,item_id\n1,2\n")
    refused = anirec("predict", str(run), "--input", "bad.csv", "--output", "out.csv", expect=2).stderr
    assert "no column user_id" in refused


def test_an_untrusted_run_cannot_execute_code(anirec: Anirec, tmp_path: Path) -> None:
    anirec("run", *SMALL, "model=popularity")
    (run,) = runs(tmp_path)
    (tmp_path / "new.csv").write_text("user_id,item_id\n1,2\n")
    with (tmp_path / "evil.pkl").open("wb") as file:
        pickle.dump(Evil(), file)
    surprise = "  _target_: anirec.models.ratings.surprise.SurpriseModel\n  algorithm: "
    for model in (
        "  _target_: os.system\n  command: touch owned\n",
        surprise + "{_target_: surprise.dump.load, file_name: evil.pkl}\n",
        surprise + "${evil}\nevil: {_target_: pandas.read_pickle, filepath_or_buffer: evil.pkl}\n",
        # Resolved once, this is a string; resolved again, when the model is instantiated, it is a call.
        "  _target_: anirec.models.ratings.popularity.Popularity\n"
        "  damping: '\\${oc.create:{_target_:os.system,command:touch owned}}'\n",
    ):
        (run / "config.yaml").write_text(f"model:\n{model}")
        refused = anirec("predict", str(run), "--input", "new.csv", "--output", "out.csv", expect=2).stderr
        assert "not loaded" in refused
    assert not (tmp_path / "owned").exists()


class Evil:
    """Unpickling an instance runs a shell command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)
