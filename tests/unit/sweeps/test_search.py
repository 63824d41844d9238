"""Studies: what is gone on with, what is refused, which trials are ended early, which is best."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from anirec.composing.space import lacking, space, trials, undrawn, unsearchable, unsuited
from anirec.errors import UserError
from anirec.tracking.folders import Pruned

optuna = pytest.importorskip("optuna")

from anirec.sweeps.search import Search, best_of, close_killed, hold, take_over  # noqa: E402
from anirec.tracking.pruning import Prune, storage  # noqa: E402

Study = Any


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Where the objective was 0.5 after each of three epochs, twice."""
    study = optuna.create_study(study_name=tmp_path.name, storage=storage(tmp_path), direction="minimize")
    for _ in range(2):
        trial = study.ask()
        for epoch in range(3):
            trial.report(0.5, epoch)
        study.tell(trial, 0.5)
    return study


@pytest.fixture
def run(study: Study, tmp_path: Path) -> Callable[..., Prune]:
    """A run that is the study's third trial."""

    def begun(**settings: Any) -> Prune:
        number = study.ask().number
        folder = tmp_path / "runs" / "data" / "model" / "third"
        folder.mkdir(parents=True)
        (tmp_path / f"{number:04d}").symlink_to(folder)
        given = {"objective": "val/rmse", "enabled": True, "trials": 2, "epochs": 1, **settings}
        prune = Prune(folder=str(folder), study=str(tmp_path), **given)
        prune.on_fit_start(SimpleNamespace(is_global_zero=True), None)
        return prune

    return begun


def again(study: Study) -> Study:
    """Read anew: a study does not ask what others wrote of the trials that it has begun."""
    return optuna.load_study(study_name=study.study_name, storage=study._storage._backend.url)


def epoch(prune: Prune, number: int, value: float) -> None:
    """The end of an epoch, counted from 0, of five."""
    trainer = SimpleNamespace(
        callback_metrics={"val/rmse": value},
        current_epoch=number,
        max_epochs=5,
        strategy=SimpleNamespace(broadcast=lambda answer: answer),
    )
    prune.on_train_epoch_end(trainer, None)


def test_a_run_behind_the_median_is_ended(study: Study, run: Callable[..., Prune]) -> None:
    with pytest.raises(Pruned) as ended:
        epoch(run(), 0, 0.9)
    assert ended.value.value == 0.9
    assert again(study).trials[2].user_attrs == {"run": "data/model/third", "pruned": True}


def test_a_run_before_the_median_goes_on(study: Study, run: Callable[..., Prune]) -> None:
    prune = run()
    epoch(prune, 0, 0.4)
    epoch(prune, 1, float("nan"))
    assert again(study).trials[2].intermediate_values == {0: 0.4}


@pytest.mark.parametrize("settings", [{"enabled": False}, {"trials": 3}, {"epochs": 2}])
def test_a_run_is_given_time(study: Study, run: Callable[..., Prune], settings: dict[str, Any]) -> None:
    epoch(run(**settings), 0, 0.9)
    assert again(study).trials[2].user_attrs == {"run": "data/model/third"}


def test_the_last_epoch_ends_nothing(study: Study, run: Callable[..., Prune]) -> None:
    epoch(run(), 4, 0.9)
    assert again(study).trials[2].user_attrs == {"run": "data/model/third"}


def test_a_run_of_no_study_is_left_alone(tmp_path: Path) -> None:
    settings = {"objective": "val/rmse", "enabled": True, "trials": 0, "epochs": 1}
    prune = Prune(folder=str(tmp_path / "run"), study=str(tmp_path / "study"), **settings)
    prune.on_fit_start(SimpleNamespace(is_global_zero=True), None)
    epoch(prune, 0, 0.9)
    assert not list(tmp_path.iterdir())


def test_a_study_searches_one_thing(study: Study) -> None:
    take_over(study, {"model": "svd", "model.lr": "interval(0,1)"})
    take_over(study, {"model": "svd", "model.lr": "interval(0,1)"})
    with pytest.raises(UserError, match=r"model.lr: interval\(0,1\) then, interval\(0,9\) now"):
        take_over(study, {"model": "svd", "model.lr": "interval(0,9)"})


def composed(tmp_path: Path, sampler: str = "TPESampler", **search: Any) -> DictConfig:
    """What a search reads of its config."""
    content = {
        "objective": "val/rmse",
        "paths": {"outputs": str(tmp_path)},
        "search": {"study": "mine", "n_trials": 1, "at_once": 1, "seed": 0, **search},
        "hydra": {
            "runtime": {"choices": {"dataset": "demo_ratings", "model": "svd"}},
            "sweep": {"dir": str(tmp_path / "studies" / "mine")},
            "sweeper": {"params": {}, "sampler": {"_target_": f"optuna.samplers.{sampler}"}},
            "overrides": {"task": [], "hydra": []},
        },
    }
    return OmegaConf.create(content)


def test_a_study_at_work_is_not_taken(tmp_path: Path) -> None:
    with hold(tmp_path):
        for _ in range(2):
            with pytest.raises(UserError, match=f"^Process {os.getpid()} on .* is at work on the study"):
                hold(tmp_path)
    hold(tmp_path).release()


def test_a_study_at_work_has_no_database_made(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    with hold(folder), pytest.raises(SystemExit):
        Search().on_multirun_start(composed(tmp_path))
    assert {path.name for path in folder.iterdir()} == {".lock", ".process"}


def test_a_search_without_its_study_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.db").write_text("no database, but something else of some length\n" * 100)
    for event in (Search().on_multirun_start, Search().on_multirun_end):
        with pytest.raises(SystemExit) as ended:
            event(composed(tmp_path))
        assert ended.value.code
        assert "failed" in capsys.readouterr().err


@pytest.mark.parametrize("study", ["../../esc", "..", "/esc", "a/b", ".hidden", "what?"])
def test_a_study_stays_in_its_folder(tmp_path: Path, study: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Search().on_multirun_start(composed(tmp_path, study=study))
    assert "a name, no path" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_settings_that_no_search_can_work_with(tmp_path: Path) -> None:
    space = {"model.lr": "tag(log, interval(0.1, 1))", "model.n_factors": "int(interval(3,5))", "model.reg": "1,2"}
    assert not unsearchable(composed(tmp_path, study=2024), space)
    assert not unsearchable(composed(tmp_path, "GridSampler"), {"model.reg": "1,2"})
    assert not unsearchable(OmegaConf.create({}), {})
    told = unsearchable(composed(tmp_path, "GridSampler", n_trials=0, at_once=1.5), space)
    assert [line.partition(":")[0].partition("=")[0] for line in told] == [
        "search.n_trials",
        "search.at_once",
        "model.lr",
        "model.n_factors",
    ]
    assert "model.lr=0.01,0.03" in told[2]


def test_killed_trials_are_given_up(study: Study, run: Callable[..., Prune], tmp_path: Path) -> None:
    run()
    close_killed(study, tmp_path)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert not (tmp_path / "0002").is_symlink()


def test_the_best_ran_to_its_end(study: Study) -> None:
    for value, pruned in ((0.1, True), (0.3, False), (0.7, False)):
        trial = study.ask()
        if pruned:
            trial.set_user_attr("pruned", True)
        study.tell(trial, value)
    assert best_of(study.trials, minimize=True).value == 0.3
    assert best_of(study.trials, minimize=False).value == 0.7
    assert best_of([], minimize=True) is None


def test_the_command_line_fixes_narrows_and_adds() -> None:
    varied = space(
        {"a.x": "interval(0,1)", "a.y": "1,2"}, ["a.x=0.5", "a.y=int(interval(3,5))", "a.z=choice(true,false)"]
    )
    assert varied == {"a.y": "int(interval(3,5))", "a.z": "choice(true,false)"}
    assert trials(varied, ["a.x=0.5"]) == [["a.x=0.5", value] for value in ("a.y=3", "a.y=5", "a.z=True", "a.z=False")]


def test_what_no_search_and_no_grid_may_do() -> None:
    assert "the luckiest" in unsuited({"seed": "1,2,3"})[0]
    assert "only a search" in undrawn(["model.lr=interval(0,1)", "seed=1,2"])[0]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anirec.composing.space.is_here", lambda module: False)
    told = lacking(["search=svd", "hydra/launcher=slurm_local", "model=svd", "search=null"])
    assert [line[-22:] for line in told] == ["install 'anirec[optuna]'"[-22:], "install 'anirec[slurm]'"[-22:]]
