"""Searches: sampling, stored results, continuation, pruning, refused settings and printed results."""

import copy
import json
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from anirec.config.checks import check_config
from anirec.config.compose import conf_folder
from anirec.config.search_space import (
    boundary_jobs,
    check_no_seeds,
    check_search,
    default_values,
    distribution,
    fixed_overrides,
    missing_extras,
    search_space,
    stray_intervals,
)
from anirec.errors import UserError
from anirec.report.pareto import front
from anirec.tracking.folders import Pruned, link_into_sweep

optuna = pytest.importorskip("optuna")

from anirec.sweeps.search import check_same_search, lock_study, search  # noqa: E402
from anirec.tracking.callbacks import Prune, storage_url  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")]
Study = Any
Job = Callable[[int, dict[str, str], Path], "list[float] | None"]


class Launcher:
    """Runs each job in the thread that launches it.

    Args:
        outputs: Where run folders go, and the search.
        job: What a job returns, by its number, its overrides and its run folder, which it may write to.
    """

    def __init__(self, outputs: Path, job: Job) -> None:
        self.outputs, self.job = outputs, job
        self.jobs: dict[int, dict[str, str]] = {}

    def launch(self, job_overrides: list[list[str]], initial_job_idx: int) -> list[SimpleNamespace]:
        (overrides,) = job_overrides
        run = self.outputs / "data" / "model" / f"run_{initial_job_idx}"
        run.mkdir(parents=True)
        (run / "status.json").write_text(json.dumps({"state": "finished", "error": None}))
        link_into_sweep(run, self.outputs / "searches" / "mine", initial_job_idx)
        self.jobs[initial_job_idx] = dict(override.split("=", 1) for override in overrides)
        return [SimpleNamespace(return_value=self.job(initial_job_idx, self.jobs[initial_job_idx], run))]


@lru_cache
def compose_once(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


def composed(tmp_path: Path, *overrides: str) -> DictConfig:
    """The config of a small search, as Hydra hands it to a sweeper."""
    small = ["search=svd", "search.study=mine", "search.n_trials=6", f"paths.outputs={tmp_path}"]
    config = copy.deepcopy(compose_once((*small, *fixed_overrides(overrides))))
    config.hydra.overrides.task = [override for override in overrides if "hydra" not in override]
    return config


def searched(tmp_path: Path, job: Job, *overrides: str) -> tuple[Study, Launcher]:
    launcher = Launcher(tmp_path, job)
    search(composed(tmp_path, *overrides), launcher=lambda: launcher)
    return load_study(tmp_path / "searches" / "mine"), launcher


def load_study(folder: Path) -> Study:
    return optuna.load_study(study_name=folder.name, storage=storage_url(folder))


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def by_lr(number: int, settings: dict[str, str], run: Path) -> list[float]:
    """A loss that the learning rate alone decides; 0.03, the default, is not best."""
    return [1 + abs(np.log(float(settings["model.lr"]) / 0.05))]


def test_the_first_trial_has_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, launcher = searched(
        tmp_path, by_lr, "model.lr=tag(log, interval(0.04, 0.08))", "model.n_factors=choice(8,9)"
    )
    assert states(study) == ["COMPLETE"] * 6
    first = launcher.jobs[0]
    model = composed(tmp_path).model
    assert float(first["model.reg"]) == model.reg
    assert float(first["model.lr"]) == 0.04  # the nearest to the default that the search draws
    assert first["model.n_factors"] in ("8", "9")
    assert len({settings["model.lr"] for settings in launcher.jobs.values()}) == 6
    output = capsys.readouterr().err
    assert f"The default model.lr={model.lr} is outside the search space; the first trial uses 0.04." in output
    assert (
        f"The default model.n_factors={model.n_factors} is outside the search space; the first trial samples" in output
    )
    best = json.loads((tmp_path / "searches" / "mine" / "best.json").read_text())
    assert best["value"] == study.best_value
    default = study.trials[0].value
    assert (
        f"val/rmse: best {best['value']:.4f} (trial {best['trial']}), defaults {default:.4f} (trial 0): "
        f"{default - best['value']:.4f} better." in output
    )


def test_what_the_study_keeps_of_each_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trial 4 is pruned after two epochs, trial 5 fails; the others finish after five."""

    def job(number: int, settings: dict[str, str], run: Path) -> list[float] | None:
        if number == 5:
            (run / "status.json").write_text(json.dumps({"state": "failed", "error": "it was to be"}))
            return None
        prune = pruning(run, tmp_path / "searches" / "mine", trials=2)
        try:
            for number_of_epoch, value in enumerate((0.5, 0.9 if number == 4 else 0.4, 0.3, 0.3, 0.3)):
                epoch(prune, number_of_epoch, value)
        except Pruned as pruned:
            (run / "status.json").write_text(json.dumps({"state": "pruned", "error": str(pruned)}))
            return None
        return [0.3 + number / 100]

    study, _ = searched(tmp_path, job, "search.n_trials=6")
    assert states(study) == ["COMPLETE"] * 4 + ["PRUNED", "FAIL"]
    assert study.trials[4].intermediate_values == {0: 0.5, 1: 0.9}
    assert study.trials[4].user_attrs == {"run": "data/model/run_4"}
    assert study.best_trial.number == 0
    output = capsys.readouterr().err
    assert "of 4 trials, 1 pruned, 1 failed" in output
    assert "no trial was better" in output
    # Trials that failed do not count: the same command runs one more.
    study, launcher = searched(tmp_path, by_lr)
    assert list(launcher.jobs) == [6]
    assert "5 of 6 trials done, 1 left" in capsys.readouterr().err


def test_a_killed_search_is_continued(tmp_path: Path) -> None:
    def killed(number: int, settings: dict[str, str], run: Path) -> list[float]:
        if number in (0, 3):
            raise SystemExit
        return by_lr(number, settings, run)

    for _ in range(2):
        with pytest.raises(SystemExit):
            searched(tmp_path, killed)
    study, launcher = searched(tmp_path, by_lr)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "FAIL"] + ["COMPLETE"] * 4
    assert study.trials[1].params == study.trials[0].params  # the defaults run again, and so does trial 3
    assert study.trials[4].params == study.trials[3].params
    assert not (tmp_path / "searches" / "mine" / "0003").is_symlink()
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6
    study, launcher = searched(tmp_path, by_lr)
    assert not launcher.jobs


def test_a_launcher_that_starts_no_job_ends_the_search(tmp_path: Path) -> None:
    def launch(*_: Any, **__: Any) -> None:
        raise OSError("no such command: sbatch")

    for more in ([], ["search.at_once=2", "hydra/launcher=local"]):
        with pytest.raises(OSError, match="sbatch"):
            search(composed(tmp_path, *more), launcher=lambda: SimpleNamespace(launch=launch))
        assert "RUNNING" not in states(load_study(tmp_path / "searches" / "mine"))


def test_a_killed_job_ends_its_trial_alone(tmp_path: Path) -> None:
    def job(number: int, settings: dict[str, str], run: Path) -> list[float]:
        if number == 1:
            raise RuntimeError("A worker process managed by the executor was unexpectedly terminated")
        return by_lr(number, settings, run)

    assert states(searched(tmp_path, job)[0]) == ["COMPLETE", "FAIL", *["COMPLETE"] * 4]


def test_workers_do_not_wait_for_the_slowest(tmp_path: Path) -> None:
    """Trial 0 ends only when trial 3 has begun, which knows the results of 1 and 2."""
    fourth, known = threading.Event(), {}

    def job(number: int, settings: dict[str, str], run: Path) -> list[float]:
        trials = load_study(tmp_path / "searches" / "mine").trials
        known[number] = {trial.number for trial in trials if trial.state.name == "COMPLETE"}
        if number == 3:
            fourth.set()
        assert number != 0 or fourth.wait(timeout=60)
        return by_lr(number, settings, run)

    study, _ = searched(tmp_path, job, "search.at_once=2", "hydra/launcher=local")
    assert states(study) == ["COMPLETE"] * 6
    assert known[3] >= {1, 2}
    assert 0 not in known[3]


def test_at_once_needs_a_launcher_with_processes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one job at a time; add hydra/launcher=local"):
        searched(tmp_path, by_lr, "search.at_once=2")
    with pytest.raises(UserError, match=r"n_jobs=2: expected at least search.at_once=3 processes"):
        searched(tmp_path, by_lr, "search.at_once=3", "hydra/launcher=local", "hydra.launcher.n_jobs=2")


def test_several_objectives_have_a_pareto_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def job(number: int, settings: dict[str, str], run: Path) -> list[float]:
        """Two figures with many ties; the second is better higher."""
        return [round(4 * float(settings["model.lr_decay"]), 1), round(9 * float(settings["model.reg"]), 1)]

    several = ["objective=[val/rmse,val/coverage@10]", "search/sampler=nsgaii", "search.n_trials=20"]
    study, _ = searched(tmp_path, job, *several)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    values = {trial.number: trial.values for trial in study.trials}
    naive = {
        number
        for number, (loss, gain) in values.items()
        if not any(a <= loss and b >= gain and (a, b) != (loss, gain) for a, b in values.values())
    }
    found = json.loads((tmp_path / "searches" / "mine" / "best.json").read_text())
    assert {trial["trial"] for trial in found["front"]} == naive
    assert found["front"][0]["values"] == dict(
        zip(["val/rmse", "val/coverage@10"], values[found["front"][0]["trial"]], strict=True)
    )
    output = capsys.readouterr().err
    assert "trials are not pruned" in output
    assert "Default values (trial 0): val/rmse" in output


def test_a_front_equals_a_naive_one() -> None:
    points = [tuple(point) for point in np.random.default_rng(0).integers(0, 5, size=(60, 3)).tolist()]
    naive = {p for p in points if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)}
    found = front(points, lambda point: point)
    assert set(found) == naive
    assert len(found) == len(naive)
    assert all(a <= b for a, b in pairwise(found))


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii", "cmaes"])
def test_samplers_do_not_repeat_themselves(tmp_path: Path, sampler: str) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    config = composed(tmp_path, f"search/sampler={sampler}")
    assert check_config(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])) == []
    searched(tmp_path, by_lr, f"search/sampler={sampler}", "search.n_trials=3")
    study, _ = searched(tmp_path, by_lr, f"search/sampler={sampler}")
    assert len({tuple(trial.params.values()) for trial in study.trials}) == len(study.trials) == 6


def test_a_grid_ends_when_all_was_tried(tmp_path: Path) -> None:
    """The default of the learning rate, 0.03, is on the grid, that of the factors is not."""
    others = ["model.reg=0.1", "model.lr_decay=1", "model.reg_bias=0.1", "model.init_std=0.1"]
    grid = [*others, "model.lr=0.01,0.03", "model.n_factors=int(interval(3,4))", "search/sampler=grid"]
    for n_jobs in (4, 0):
        study, launcher = searched(tmp_path, by_lr, *grid)
        assert len(launcher.jobs) == n_jobs
    assert states(study) == ["COMPLETE"] * 4
    tried = {(trial.params["model.lr"], trial.params["model.n_factors"]) for trial in study.trials}
    assert tried == {(lr, factors) for lr in ("0.01", "0.03") for factors in (3, 4)}


def pruning(run: Path, study: Path, **settings: Any) -> Prune:
    given = {"objective": "val/rmse", "enabled": True, "trials": 2, "epochs": 1, **settings}
    prune = Prune(folder=str(run), study=str(study), **given)
    prune.on_fit_start(SimpleNamespace(is_global_zero=True), None)
    return prune


def epoch(prune: Prune, number: int, value: float) -> None:
    """The end of an epoch, counted from 0, of five."""
    trainer = SimpleNamespace(
        callback_metrics={"val/rmse": value},
        current_epoch=number,
        max_epochs=5,
        strategy=SimpleNamespace(broadcast=lambda answer: answer),
    )
    prune.on_train_epoch_end(trainer, None)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with two trials, whose objective was 0.5 after each of three epochs."""
    study = optuna.create_study(study_name=tmp_path.name, storage=storage_url(tmp_path), direction="minimize")
    for _ in range(2):
        trial = study.ask()
        for number in range(3):
            trial.report(0.5, number)
        study.tell(trial, 0.5)
    return study


@pytest.fixture
def run(study: Study, tmp_path: Path) -> Callable[..., Prune]:
    """A run that is the study's third trial."""

    def begun(**settings: Any) -> Prune:
        number = study.ask().number
        folder = tmp_path / "runs" / "data" / "model" / "third"
        folder.mkdir(parents=True)
        link_into_sweep(folder, tmp_path, number)
        return pruning(folder, tmp_path, **settings)

    return begun


def test_a_run_behind_the_median_is_pruned(run: Callable[..., Prune]) -> None:
    with pytest.raises(Pruned, match=r"after epoch 1: val/rmse 0\.9000 is worse than the median"):
        epoch(run(), 0, 0.9)


def test_a_run_ahead_of_the_median_continues(run: Callable[..., Prune], tmp_path: Path) -> None:
    prune = run()
    epoch(prune, 0, 0.4)
    epoch(prune, 1, float("nan"))
    assert load_study(tmp_path).trials[2].intermediate_values == {0: 0.4}


@pytest.mark.parametrize("settings", [{"enabled": False}, {"trials": 3}, {"epochs": 2}])
def test_pruning_waits_for_enough_trials_and_epochs(
    run: Callable[..., Prune], tmp_path: Path, settings: dict[str, Any]
) -> None:
    epoch(run(**settings), 0, 0.9)
    assert load_study(tmp_path).trials[2].user_attrs == {"run": "data/model/third"}


def test_the_last_epoch_is_not_pruned(run: Callable[..., Prune], tmp_path: Path) -> None:
    epoch(run(), 4, 0.9)
    assert load_study(tmp_path).trials[2].user_attrs == {"run": "data/model/third"}


def test_trials_with_several_objectives_are_not_pruned(tmp_path: Path) -> None:
    study = optuna.create_study(study_name=tmp_path.name, storage=storage_url(tmp_path), directions=["minimize"] * 2)
    study.tell(study.ask(), [0.1, 0.1])
    link_into_sweep(tmp_path / "run", tmp_path, study.ask().number)
    prune = pruning(tmp_path / "run", tmp_path, trials=0)
    epoch(prune, 0, 0.9)
    assert "run" in load_study(tmp_path).trials[1].user_attrs


def test_runs_outside_a_study_are_not_pruned(tmp_path: Path) -> None:
    epoch(pruning(tmp_path / "run", tmp_path / "study", trials=0), 0, 0.9)
    assert not list(tmp_path.iterdir())


def test_a_study_searches_one_thing(study: Study) -> None:
    check_same_search(study, {"model": "svd", "model.lr": "interval(0,1)"})
    check_same_search(study, {"model": "svd", "model.lr": "interval(0,1)"})
    with pytest.raises(UserError, match=r"model.lr: interval\(0,1\) then, interval\(0,9\) now"):
        check_same_search(study, {"model": "svd", "model.lr": "interval(0,9)"})


def test_a_study_at_work_is_not_taken(tmp_path: Path) -> None:
    with lock_study(tmp_path):
        for _ in range(2):
            with pytest.raises(UserError, match=f"^Process {os.getpid()} on .* is running the study"):
                lock_study(tmp_path)
    lock_study(tmp_path).release()


def test_a_study_at_work_has_no_database_made(tmp_path: Path) -> None:
    folder = tmp_path / "searches" / "mine"
    folder.mkdir(parents=True)
    with lock_study(folder), pytest.raises(UserError, match="is running the study mine"):
        searched(tmp_path, by_lr)
    assert {path.name for path in folder.iterdir()} == {".lock", ".process"}


def test_another_search_does_not_take_over_a_study(tmp_path: Path) -> None:
    searched(tmp_path, by_lr)
    with pytest.raises(UserError, match=r"model\.epochs: 20\.0 then, 3\.0 now"):
        searched(tmp_path, by_lr, "model.epochs=3")
    with pytest.raises(UserError, match="belongs to a different search"):
        searched(tmp_path, by_lr, "objective=[val/rmse,val/mae]")


@pytest.mark.parametrize("study", ["../../esc", "..", "/esc", "a/b", ".hidden", "what?"])
def test_a_study_stays_in_its_folder(tmp_path: Path, study: str) -> None:
    with pytest.raises(UserError, match="expected a name, not a path"):
        searched(tmp_path, by_lr, f"search.study='{study}'")
    assert not list(tmp_path.iterdir())


def test_settings_that_no_search_can_work_with() -> None:
    def problems(sampler: str, space: dict[str, str], **search: Any) -> list[str]:
        config = {"search": {"sampler": {"_target_": f"optuna.samplers.{sampler}"}, **search}}
        return [problem.partition(":")[0] for problem in check_search(OmegaConf.create(config), space)]

    space = {"model.lr": "tag(log, interval(0.1, 1))", "model.n_factors": "int(interval(3,5))", "model.reg": "1,2"}
    assert not problems("TPESampler", space, study=2024)
    assert not problems("BruteForceSampler", {"model.reg": "1,2", "model.n_factors": "range(3,9,2)"})
    assert not check_search(OmegaConf.create({}), {})
    assert problems("BruteForceSampler", space, n_trials=0) == [
        "search.n_trials=0",
        "model.lr=tag(log, interval(0.1, 1))",
    ]
    assert problems("TPESampler", {"model.lr": "interval(2,1)"}, at_once=1.5)[:2] == [
        "model.lr=interval(2,1)",
        "search.at_once=1.5",
    ]


@pytest.mark.parametrize(
    ("text", "value", "first"),
    [
        ("choice(16,32)", 32, "32"),
        ("choice(true,false)", False, "False"),
        ("choice([8],[8,8])", [8, 8], "[8,8]"),
        ("null,'a b'", "a b", "'a b'"),
        ("null,'a b'", None, "null"),
        ("interval(0.1,0.5)", 0.7, 0.5),
        ("int(interval(2,9))", 1, 2),
        ("range(2,9,3)", 6, 5),
        ("range(0.2,0.9,0.3)", 0.4, 0.5),
        ("interval(0,1)", True, None),
        ("choice(1,2)", 3, None),
        ("interval(0,1)", None, None),
    ],
)
def test_where_a_default_lies_in_the_space(text: str, value: Any, first: Any) -> None:
    config = OmegaConf.create({"model": {"x": value}, "hydra": {"runtime": {"choices": {"model": "svd"}}}})
    found, notes = default_values(config, {"model.x": distribution("model.x", text)})
    assert found == ({} if first is None else {"model.x": first})
    moved = first is None or (not isinstance(first, str) and first != value)
    assert len(notes) == moved
    assert all(f"model.x={value}" in note for note in notes)


@pytest.mark.parametrize(("text", "ends"), [("range(2,8,3)", (2, 5, 3)), ("range(0.2,0.9,0.3)", (0.2, 0.8, 0.3))])
def test_a_range_leaves_its_end_out(text: str, ends: tuple[float, float, float]) -> None:
    drawn: Any = distribution("x", text)
    assert (drawn.low, drawn.high, drawn.step) == ends


def test_the_command_line_fixes_narrows_and_adds() -> None:
    varied = search_space(
        {"a.x": "interval(0,1)", "a.y": "1,2"}, ["a.x=0.5", "a.y=int(interval(3,5))", "a.z=choice(true,false)"]
    )
    assert varied == {"a.y": "int(interval(3,5))", "a.z": "choice(true,false)"}
    assert boundary_jobs(varied, ["a.x=0.5"]) == [
        ["a.x=0.5", value] for value in ("a.y=3", "a.y=5", "a.z=True", "a.z=False")
    ]


def test_what_no_search_and_no_grid_may_do() -> None:
    assert "the luckiest" in check_no_seeds({"seed": "1,2,3"})[0]
    assert "an interval needs a search" in stray_intervals(["model.lr=interval(0,1)", "seed=1,2"])[0]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anirec.config.search_space.is_installed", lambda module: False)
    output = missing_extras(["search=svd", "hydra/launcher=slurm_local", "model=svd", "search=null"])
    assert [line[-22:] for line in output] == ["install 'anirec[optuna]'"[-22:], "install 'anirec[slurm]'"[-22:]]
