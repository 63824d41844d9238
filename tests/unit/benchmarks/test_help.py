"""`--help` of every benchmark describes it and its options, and starts nothing."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from experiments.benchmarks import busy

FOLDER = Path(busy.__file__).parent
NAMES = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if "def main(" in path.read_text() and path.stem != "peer_process"  # in the environment of the other libraries
)


@pytest.mark.parametrize("name", NAMES)
def test_help_describes_every_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"experiments.benchmarks.{name}").main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    lines = printed.partition("options:")[2].splitlines()
    undescribed = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("  -") and len(re.split(r" {2,}", line.strip())) == 1 and not after.startswith(" " * 10)
    ]
    assert not undescribed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_failing_or_endless_process_ends_the_benchmark_of_busy_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "MEASURE", "raise ValueError('no such model')")
    with pytest.raises(SystemExit, match=r"(?s)svd: the process failed:.*ValueError: no such model"):
        busy.main(["--models", "svd"])
    monkeypatch.setattr(busy, "MEASURE", "import time; time.sleep(60)")
    with pytest.raises(SystemExit, match=r"svd: not finished after 0\.2 s"):
        busy.main(["--models", "svd", "--timeout", "0.2"])
