"""Fixtures that run whole commands on small generated data, each in a folder of its own."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .processes import run_forked, run_new

SMALL = ["dataset.source.n_users=200", "dataset.source.n_items=80", "dataset.source.ratings_per_user=20", "trainer=cpu"]
Anirec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty Hugging Face cache, which all commands use."""
    os.environ["HF_HUB_CACHE"] = str(tmp_path_factory.mktemp("hub"))
    return Path(os.environ["HF_HUB_CACHE"])


@pytest.fixture(scope="session")
def anirec_in(hub: Path) -> Callable[..., Anirec]:
    """Return `anirec_in(folder, **variables)`, which returns `anirec(verb, *arguments)`, run in that folder.

    Commands are forked from a process that has imported the heavy libraries; see processes.py. `cold=True` starts a new
    Python, for tests of imports, of environment variables that libraries read at import, or of child processes.
    """

    def in_folder(folder: Path, *, cold: bool = False, **always: str) -> Anirec:
        def call(
            *arguments: str, expect: int = 0, cold: bool = cold, **variables: str
        ) -> subprocess.CompletedProcess[str]:
            start = run_new if cold else run_forked
            done = start([*arguments], folder, {**os.environ, **always, **variables})
            assert done.returncode == expect, done.stderr + done.stdout
            return done

        return call

    return in_folder


@pytest.fixture
def anirec(anirec_in: Callable[..., Anirec], tmp_path: Path) -> Anirec:
    """Return `anirec(verb, *arguments)`, run in an empty folder."""
    return anirec_in(tmp_path)


def runs(folder: Path, model: str = "*", dataset: str = "demo_ratings") -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"outputs/{dataset}/{model}/*/status.json"))


def content(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / name).read_text())
