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


@pytest.fixture
def anirec(tmp_path: Path) -> Anirec:
    """`anirec(verb, *arguments)` in an empty folder, as a user would call it."""

    def call(*arguments: str, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "anirec", *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expect, done.stderr + done.stdout
        return done

    return call


def runs(folder: Path, model: str = "*") -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"outputs/demo_ratings/{model}/*/status.json"))


def content(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / name).read_text())
