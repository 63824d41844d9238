"""Sweeps in other processes and searches, also when they are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from .conftest import SMALL, Anirec, content, runs

LAUNCHERS = {
    "local": ("anirec", ["hydra.launcher.n_jobs=2"]),
    "ray": ("ray", ["hydra.launcher.ray.init.num_cpus=2"]),
    "slurm_local": ("submitit", []),
}
FRAIL = """
import os, time
from anirec.models.ratings.popularity import Popularity

class Frail(Popularity):
    def __init__(self, *, damping, fate):
        super().__init__(damping=damping)
        self.fate = fate

    def on_fit_start(self):
        if self.fate == "fail":
            raise RuntimeError("it was to be")
        if self.fate == "die":
            os._exit(9)
        if self.fate == "sleep":
            time.sleep(600)
"""
KILLED = """
import itertools, os, signal
from anirec.cli import main
from anirec.tracking.callbacks import Stopwatch

epochs = itertools.count(1)

def end_of_epoch(self, trainer, pl_module):
    if next(epochs) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

Stopwatch.on_train_epoch_end = end_of_epoch
main()
"""  # a command that is killed in its fifth epoch: the second of its second job, with three epochs a job
MARK = "ANIREC_TEST_MARK"


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    """`run -m` of a user's own model that can be made to fail, die or sleep."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "frail.py").write_text(FRAIL)
    (tmp_path / "mine" / "model" / "frail.yaml").write_text("_target_: frail.Frail\ndamping: 5.0\nfate: null\n")
    return ["run", "-m", "--config-dir", "mine", *SMALL, "model=frail"]


def left_behind(mark: str) -> list[psutil.Process]:
    """Processes that a command with this mark in its environment has started and not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], object], *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.2)
    return bool(condition())


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_in_other_processes(launcher: str, anirec: Anirec, sweep: list[str], tmp_path: Path) -> None:
    package, settings = LAUNCHERS[launcher]
    pytest.importorskip(package)
    output = anirec(
        *(*sweep, f"hydra/launcher={launcher}", *settings, "model.fate=null,fail"),
        **{"cold": True, "expect": 1, MARK: str(tmp_path)},
    ).stderr
    assert "1 of 2 jobs finished" in output
    assert "RuntimeError: it was to be" in output.partition("1 of 2 jobs finished")[2]
    assert sorted(content(run, "status.json")["state"] for run in runs(tmp_path)) == ["failed", "finished"]
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert [content(folder / f"000{job}", "provenance.json")["sweep"] for job in (0, 1)] == [folder.name] * 2
    assert wait_until(lambda: not left_behind(str(tmp_path)), seconds=20)


@pytest.mark.slow
def test_a_killed_worker_is_reported(anirec: Anirec, sweep: list[str]) -> None:
    launcher = ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]
    output = anirec(*sweep, *launcher, "model.fate=die,sleep", cold=True, expect=1).stderr
    assert "Traceback" not in output
    assert "UserWarning" not in output
    assert "sweep.skip_done=true" in output
    assert "model.fate=die" in output.partition("0 of 2 jobs finished")[2]


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_processes(sweep: list[str], tmp_path: Path) -> None:
    launcher = ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]
    command = [sys.executable, "-m", "anirec", *sweep, *launcher, "model.fate=sleep", "split.seed=1,2"]
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, MARK: str(tmp_path)}) as process:
        assert wait_until(lambda: len(runs(tmp_path)) == 2, seconds=120)
        process.kill()
    assert wait_until(lambda: not left_behind(str(tmp_path)), seconds=20)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=local", "hydra.launcher.n_jobs=2"]], ids=["basic", "local"])
def test_an_interrupted_sweep_says_how_to_continue(sweep: list[str], tmp_path: Path, launcher: list[str]) -> None:
    """Ctrl-C while jobs sleep, with more jobs to come than processes."""
    command = [sys.executable, "-m", "anirec", *sweep, *launcher, "model.fate=sleep", "split.seed=1,2,3,4"]
    n_at_once = 2 if launcher else 1
    variables = {**os.environ, MARK: str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: len(runs(tmp_path)) == n_at_once, seconds=120)
        time.sleep(2)  # the jobs sleep
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert [content(run, "status.json")["state"] for run in runs(tmp_path)] == ["interrupted"] * n_at_once
    said, _, again = output.partition("This command continues:\n")
    assert again == " ".join(["anirec", *command[3:], "resume=true", "sweep.skip_done=true\n"])
    assert all(line.startswith("job ") for line in said.splitlines()[1:3]) or not launcher
    assert "Traceback" not in output
    assert "Interrupted.\n0 of 4 jobs finished" in said
    assert wait_until(lambda: not left_behind(str(tmp_path)), seconds=20)


@pytest.mark.slow
def test_finished_jobs_are_skipped(anirec: Anirec, sweep: list[str], tmp_path: Path) -> None:
    anirec(*sweep, "model.fate=null,fail", expect=1)
    output = anirec(*sweep, "model.fate=null,fail", "sweep.skip_done=true", expect=1).stderr
    assert "job 0: already done" in output
    assert len(runs(tmp_path)) == 3


@pytest.mark.slow
def test_a_killed_search_continues(anirec: Anirec, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    search = ["run", "search=svd", *SMALL, "search.n_trials=3", "model.n_factors=8", "metrics.names=[rmse]"]
    folder = tmp_path / "outputs" / "searches" / "demo_ratings_svd"
    killed = subprocess.run([sys.executable, "-c", KILLED, *search, "model.epochs=3"], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert "1 of 3 trials done" in anirec(*search, "model.epochs=3").stderr
    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder}/study.db")
    states = [trial.state.name for trial in study.trials]
    assert sorted(states) == ["COMPLETE"] * 3 + ["FAIL"]
    model = yaml.safe_load((folder / "0000" / "config.yaml").read_text())["model"]
    assert study.trials[0].params == {key: model[key.removeprefix("model.")] for key in study.trials[0].params}
    best = content(folder, "best.json")
    assert best["value"] == min(trial.value for trial in study.trials if trial.value is not None)
    assert "test/rmse" in content(folder / best["run"], "metrics.json")
    others = [folder / f"{trial.number:04d}" for trial in study.trials if trial.number != best["trial"]]
    assert not any("test/rmse" in content(run, "metrics.json") for run in others if run.exists())
    output = anirec(*search, "model.epochs=4", expect=2).stderr
    assert "model.epochs: 3.0 then, 4.0 now" in output


@pytest.mark.slow
def test_a_search_with_several_objectives_in_several_processes(anirec: Anirec, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    several = ["objective=[val/rmse,val/coverage@10]", "hydra/launcher=local", "search.at_once=2", "search.n_trials=4"]
    output = anirec("run", "search=svd", *SMALL, *several, "model.epochs=2", "search.study=both", cold=True).stderr
    assert "Pareto front of 4 trials" in output
    folder = tmp_path / "outputs" / "searches" / "both"
    study = optuna.load_study(study_name="both", storage=f"sqlite:///{folder}/study.db")
    front = content(folder, "best.json")["front"]
    assert {trial["trial"] for trial in front} == {trial.number for trial in study.best_trials}
    for number, trial in enumerate(study.trials):
        metrics = content(folder / f"{number:04d}", "metrics.json")
        assert trial.values == [metrics["val/rmse"], metrics["val/coverage@10"]]
        assert not any(name.startswith("test/") for name in metrics)
    assert "--metric val/rmse" in anirec("select", str(folder), expect=2).stderr
    output = anirec("compare", str(folder), "--html", "page.html").stdout
    assert "Pareto front of val/rmse, val/coverage@10" in output
    assert f"Pareto front: {len(front)} of 4 configurations" in (tmp_path / "page.html").read_text()
    chosen = min(trial["values"]["val/rmse"] for trial in front)
    anirec("select", str(folder), "--metric", "val/rmse")
    assert content(folder, "selection.json")["val"]["mean"] == chosen


def test_a_space_is_checked_before_any_work(anirec: Anirec) -> None:
    pytest.importorskip("optuna")
    anirec("validate", "search=svdpp", "model.lr=tag(log, interval(0.001, 0.1))")
    assert "no key lrr in model" in anirec("validate", "search=svdpp", "model.lrr=1,2", expect=2).stderr
    assert "low <= high" in anirec("validate", "search=svd", "model.lr=interval(2,1)", expect=2).stderr
    assert "add search=NAME" in anirec("validate", "-m", "model.damping=interval(1,2)", expect=2).stderr
