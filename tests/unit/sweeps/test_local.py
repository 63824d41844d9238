"""The processes of the launcher `local`: what their server imports, and their share of the cores."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from anirec.sweeps.local import PRELOADED, THREADS, Pool

SERVER = f"""
import importlib, os, sys, threading
for name in {PRELOADED}:
    importlib.import_module(name)
import torch
assert "polars" not in sys.modules
assert not torch.cuda.is_initialized()
assert threading.active_count() == 1
assert len(os.listdir("/proc/self/task")) == 1, "a library has started threads, which a fork does not inherit"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_server_starts_no_threads() -> None:
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def parts() -> dict[str, Any]:
    config = OmegaConf.create({"hydra": {"job": {"env_set": {"ANIREC_DATA": "/data"}}}})
    return {"config": config, "hydra_context": SimpleNamespace(), "task_function": print}


def test_processes_share_the_cores(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    for n_processes, threads in ((2, "4"), (3, "2"), (16, "1"), (-1, "1")):
        variables = Pool(n_processes, parts).variables
        assert {variables[name] for name in THREADS} == {threads}
        assert variables["ANIREC_DATA"] == "/data"
    assert Pool(-1, parts).n_processes == 8


def test_a_number_of_threads_in_the_environment_is_kept(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in Pool(2, parts).variables
