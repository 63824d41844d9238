"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from anirec import notices

# One place for the suite's caches, and no network: nothing here may reach for W&B or a model hub.
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
# One thread for each worker of pytest-xdist, so that workers do not compete for cores; libraries read this at import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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
    """A folder of prepared tables that the whole session shares."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def no_warning_shown() -> None:
    """Each test may see every warning."""
    notices.printed.clear()


@pytest.fixture(autouse=True)
def private_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIREC_CACHE", str(cache))
