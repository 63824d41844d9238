"""Launch of a sweep with Hydra: how often it composes configs, and which jobs it runs."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra

from anirec.sweeps import launch
from anirec.sweeps.worker import SWEEP

SWEPT = ["model=popularity,svd", "split.seed=1,2"]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[tuple[Any, Any]]]:
    """Seed and split seed of the jobs that a sweep runs, which do nothing."""
    ran: list[tuple[Any, Any]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["anirec"])
    for name in (SWEEP, "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(launch, "job", lambda config: ran.append((config.seed, config.split.seed)))
    GlobalHydra.instance().clear()
    yield ran
    GlobalHydra.instance().clear()
    launch.SweepEnd.config = launch.SweepEnd.estimate = None


def test_each_job_is_composed_once(jobs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    load = ConfigLoaderImpl.load_configuration

    def counting(self: ConfigLoaderImpl, *arguments: Any, **settings: Any) -> Any:
        counts["compositions"] += 1
        return load(self, *arguments, **settings)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counting)
    launch.main(["-m", *SWEPT], typed=["-m", *SWEPT])
    assert jobs == [(42, 1), (42, 2)] * 2
    assert counts["compositions"] == 2 + 4  # Hydra composes the config of the sweep twice


def test_repetitions_are_left_out(jobs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    launch.main(["-m", *SWEPT, "seed=5,6"], typed=[])
    assert jobs == [(5, 1), (5, 2), (5, 1), (6, 1), (5, 2), (6, 2)]
    assert "popularity gives the same result for every seed and runs once; split.seed varies" in capsys.readouterr().err
