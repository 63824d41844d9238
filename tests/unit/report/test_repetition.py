import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from anirec.report.repetition import changes, show_repetition
from anirec.report.runs import Run, read_run

WriteRun = Callable[..., Path]


def run_of(folder: Path, **provenance: Any) -> Run:
    """The run, with that in its provenance."""
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | provenance))
    return read_run(folder)


def shown(then: Run, now: Run) -> str:
    text = io.StringIO()
    show_repetition(Console(file=text, width=100), then, now)
    return text.getvalue()


def test_equal_metrics_are_only_counted(write_run: WriteRun) -> None:
    then, now = (read_run(write_run()) for _ in range(2))
    text = shown(then, now)
    assert "11 of 11 metrics are equal" in text
    assert "val/rmse" not in text
    assert "time: 13.3 s then, 13.3 s now" in text


def test_unequal_metrics_come_with_what_differs(write_run: WriteRun) -> None:
    then = run_of(write_run(metrics={"val/rmse": 1.5, "test/rmse": 1.6}), git={"commit": "a" * 40, "dirty": False})
    folder = write_run(metrics={"val/rmse": 1.5 + 1e-9, "test/rmse": 1.7}, config={"trainer.devices": 2})
    now = run_of(folder, git={"commit": "b" * 40, "dirty": True}, versions={"torch": "2.12"}, device={"cores": 4})
    text = shown(then, now)
    assert "9 of 11 metrics are equal, 1 more agree to a relative 1e-6, 1 differ" in text
    assert "+0.1" in text
    for line in (
        "code: commit aaaaaaaaaa then, bbbbbbbbbb now",
        "code: uncommitted changes now",
        "versions: torch none then, 2.12 now",
        "config: trainer.devices null then, 2 now",
    ):
        assert line in text


def test_other_data_are_said_first_even_where_all_is_equal(write_run: WriteRun) -> None:
    then, now = read_run(write_run()), run_of(write_run(), data={"fingerprint": "beef"})
    assert next(changes(then, now)).startswith("different data: fingerprint d00d then, beef now")
    assert shown(then, now).startswith("different data")


def test_where_nothing_recorded_differs_the_usual_reasons_are_named(write_run: WriteRun) -> None:
    then, now = (read_run(write_run(metrics={"test/rmse": value})) for value in (1.0, 1.1))
    assert "No recorded difference" in shown(then, now)
