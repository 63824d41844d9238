"""A command line whose datasets lie in a folder of the test, for crawls of servers on loopback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import anirec as anirec_package

SECONDS = 120


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def variables(data: Path) -> dict[str, str]:
    tested = str(Path(anirec_package.__file__).parents[1])
    return {**os.environ, "ANIREC_DATA": str(data), "MAL_CLIENT_ID": "0123abcd", "PYTHONPATH": tested}


@pytest.fixture
def anirec(variables: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return `anirec("data", "crawl", …, expect=0)`: a process, since Scrapy starts its event loop once in each."""

    def call(*arguments: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "anirec", *arguments]
        given = {**variables, **more}
        done = subprocess.run(
            line, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    return call
