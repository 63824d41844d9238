"""Whole commands, on little generated data, in a folder of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ["dataset.source.n_users=200", "dataset.source.n_items=80", "dataset.source.ratings_per_user=20", "trainer=cpu"]
Anirec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def anirec_in() -> Callable[..., Anirec]:
    """`anirec_in(folder, **variables)` gives `anirec(verb, *arguments)`, called there as a user would."""

    def there(folder: Path, **always: str) -> Anirec:
        def call(*arguments: str, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                [sys.executable, "-m", "anirec", *arguments],
                cwd=folder,
                env={**os.environ, **always, **variables},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
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
