"""The benchmark of graphics cards runs on the CPU too, says so, and writes a table of 80 columns and a CSV file."""

import csv
from pathlib import Path

import pytest
import torch

from experiments.benchmarks import card, ratings

N_ITEMS = 120


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "N_ITEMS", N_ITEMS)
    monkeypatch.setattr(ratings.Generated, "n_items", N_ITEMS)
    monkeypatch.setattr(card, "MATRIX", {"cpu": 64})
    monkeypatch.setattr(card, "COPIED", {"cpu": 1000})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_every_work_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card.main(["--rows", "3000", "--output", str(tmp_path / "card.csv")])
    printed = capsys.readouterr().out
    assert "No CUDA device: the same code runs on the CPU" in printed
    assert max(map(len, printed.splitlines())) <= 80
    with (tmp_path / "card.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["work"] for row in rows] == [
        f"{work.model}: {what}" for work in card.WORKS for what in ("epoch", "rank")
    ]
    assert all(float(row["seconds"]) > 0 and float(row["gigabytes_per_second"]) > 0 for row in rows)
    assert all(float(row["share_of_copy"]) > 0 for row in rows)


@pytest.mark.parametrize("work", card.WORKS, ids=lambda work: work.model)
def test_a_device_is_compared_with_the_cpu(work: card.Work) -> None:
    """Two trainings on the same device give the same predictions."""
    rows, cpu = ratings.generate_ratings(2000), torch.device("cpu")
    assert card.difference(work, rows, cpu) == 0
    assert len(card.predictions(card.fitted(work, rows, cpu)[0], rows, cpu)[0]) > 0
