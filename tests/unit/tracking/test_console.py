"""The line about the size of runs."""

import os
from pathlib import Path

import pytest

from anirec.tracking import console


def sparse(path: Path, n_bytes: int) -> Path:
    """Write a file of this size that takes no space on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, n_bytes)
    return path


@pytest.mark.parametrize(
    ("last", "best", "results", "expected"),
    [
        (600, "link", 100, "Size: 700 MB, 600 MB of it checkpoints; checkpoints=none keeps only the results"),
        (600, 600, 100, "Size: 1.3 GB, 1.2 GB of it checkpoints; checkpoints=best keeps only the best"),
        (None, 600, 100, "Size: 700 MB, 600 MB of it checkpoints; checkpoints=none keeps only the results"),
        (600, None, 100, "Size: 700 MB, 600 MB of it checkpoints; checkpoints=none keeps only the results"),
        (1, "link", 100, "Size: 101 MB, 1.0 MB of it checkpoints"),
        (1, "link", 2, ""),
    ],
    ids=["one epoch", "two files", "best only", "no objective", "mostly results", "small"],
)
def test_the_advice_frees_space(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    last: int | None,
    best: int | str | None,
    results: int,
    expected: str,
) -> None:
    sparse(tmp_path / "predictions.parquet", results * 10**6)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    if last:
        sparse(folder / "last.ckpt", last * 10**6)
    if best == "link":
        os.link(folder / "last.ckpt", folder / "best.ckpt")
    elif isinstance(best, int):
        sparse(folder / "best.ckpt", best * 10**6)
    console.print_size([tmp_path])
    assert capsys.readouterr().err.strip() == expected
