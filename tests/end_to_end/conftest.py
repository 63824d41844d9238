"""Whole commands, on little generated data, in a folder of their own."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .processes import forked, started

SMALL = ["dataset.source.n_users=200", "dataset.source.n_items=80", "dataset.source.ratings_per_user=20", "trainer=cpu"]
Anirec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Hugging Face cache of all commands, in which no encoder was ever downloaded."""
    os.environ["HF_HUB_CACHE"] = str(tmp_path_factory.mktemp("hub"))
    return Path(os.environ["HF_HUB_CACHE"])


@pytest.fixture(scope="session")
def anirec_in(hub: Path) -> Callable[..., Anirec]:
    """`anirec_in(folder, **variables)` gives `anirec(verb, *arguments)`, called there as a user would.

    Commands are forked from a process that has imported the heavy libraries; see processes.py. `cold=True` starts a new
    Python, for tests of what is imported, of variables that libraries read at import, or of processes that it starts.
    """

    def there(folder: Path, *, cold: bool = False, **always: str) -> Anirec:
        def call(
            *arguments: str, expect: int = 0, cold: bool = cold, **variables: str
        ) -> subprocess.CompletedProcess[str]:
            start = started if cold else forked
            done = start([*arguments], folder, {**os.environ, **always, **variables})
            assert done.returncode == expect, done.stderr + done.stdout
            return done

        return call

    return there


@pytest.fixture
def anirec(anirec_in: Callable[..., Anirec], tmp_path: Path) -> Anirec:
    """In an empty folder."""
    return anirec_in(tmp_path)


def runs(folder: Path, model: str = "*") -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"outputs/demo_ratings/{model}/*/status.json"))


def content(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / name).read_text())
