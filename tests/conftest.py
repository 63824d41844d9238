"""Settings and fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from anirec import notices

# No network: no test may contact W&B or a model hub.
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
# One thread for each worker of pytest-xdist, so that workers do not compete for cores; libraries read this at import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels for CUDA devices run on the CPU

settings.register_profile("anirec", max_examples=50, deadline=None)
settings.load_profile("anirec")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "ANIREC_DATA" not in os.environ:
        reason = "ANIREC_DATA is unset: no real dumps to read"
        for item in items:
            if "real_data" in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that all tests of the session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    """Forget which warnings were shown, so that each test sees all of its own."""
    notices.printed.clear()


@pytest.fixture(autouse=True)
def private_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIREC_CACHE", str(cache))


@pytest.fixture(autouse=True)
def private_wandb_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each subprocess start a W&B service of its own: the one that an earlier test started may have ended."""
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
