"""The store of what is computed once: nothing is computed twice or lost, and damage is mended."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anirec.features import cache as frozen
from anirec.features.cache import Store, key_of


class Squares:
    """Computes [x, x²] of numbers, and remembers of which."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers, self.computed = numbers, []
        self.keys = [key_of(str(number).encode()) for number in numbers]

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, list[str]]:
        chosen = [self.numbers[i] for i in inputs]
        self.computed += chosen
        return np.array([[x, x * x] for x in chosen], np.float32), ["odd" if x % 2 else "" for x in chosen]

    def of(self, folder: Path, *, batch: int = 3) -> frozen.Selection:
        store = Store(folder, (2,), np.float32)
        cost = np.array(self.numbers, np.int64)
        return store.select(self.keys, self, cost=cost, batch=batch, what="squares")


def test_only_what_is_new_is_computed_the_costliest_first(tmp_path: Path) -> None:
    first = Squares([1, 2, 3, 4])
    first.of(tmp_path)
    assert first.computed == [4, 3, 2, 1]
    second = Squares([7, 3, 9, 1])
    selection = second.of(tmp_path)
    assert second.computed == [9, 7]
    np.testing.assert_array_equal(selection.take(np.array([1, 0, 2])), [[3, 9], [7, 49], [9, 81]])
    assert selection.notes() == ["odd"] * 4
    third = Squares([9, 2])
    assert third.of(tmp_path).notes() == ["odd", ""]
    assert not third.computed


def test_nothing_to_look_at(tmp_path: Path) -> None:
    assert Squares([]).of(tmp_path).take(np.empty(0, np.int64)).shape == (0, 2)


NUMBERS = list(range(600))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A closed file of 600 arrays."""
    Squares(NUMBERS).of(tmp_path, batch=100)
    frozen.close(tmp_path)
    return tmp_path / "data.mdb"


def check_mended(path: Path) -> list[int]:
    """Check all arrays, and return which of them were recomputed."""
    again = Squares(NUMBERS)
    np.testing.assert_array_equal(again.of(path.parent, batch=100).take(np.arange(600))[:, 1], np.arange(600) ** 2)
    return sorted(again.computed)


def test_an_array_with_a_flipped_bit_is_computed_again(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(filled.read_bytes())
    content[content.index(np.array([77, 77 * 77], np.float32).tobytes()) + 5] ^= 4
    filled.write_bytes(content)
    assert check_mended(filled) == [77]
    assert "1 arrays" in caplog.text
    caplog.clear()
    assert check_mended(filled) == []
    assert not caplog.text


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1, 0])
def test_a_file_that_was_cut_off_is_made_again(filled: Path, kept: float) -> None:
    content = filled.read_bytes()
    filled.write_bytes(content[: int(kept * len(content))])
    assert check_mended(filled) == NUMBERS


def test_a_file_of_something_else_is_made_again(filled: Path) -> None:
    filled.write_bytes(b"not a database" * 1000)
    assert check_mended(filled) == NUMBERS


FILL = """
import sys
from test_cache import Path, Squares
Squares(list(range(int(sys.argv[2]), int(sys.argv[2]) + 300))).of(Path(sys.argv[1]), batch=20)
"""


def test_several_processes_fill_one_store(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", FILL, str(tmp_path), str(first)] for first in (0, 150, 300)]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parent) for command in commands]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert check_mended(tmp_path / "data.mdb") == []
