"""The store of what is computed once: nothing twice, nothing lost, damage mended."""

from pathlib import Path

import numpy as np
import pytest

from anirec.features import frozen
from anirec.features.frozen import Store, key_of


class Squares:
    """Computes [x, x²] of numbers, and remembers of which."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers, self.computed = numbers, []
        self.keys = [key_of(str(number).encode()) for number in numbers]

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, list[str]]:
        chosen = [self.numbers[i] for i in inputs]
        self.computed += chosen
        return np.array([[x, x * x] for x in chosen], np.float32), ["odd" if x % 2 else "" for x in chosen]

    def of(self, folder: Path) -> frozen.Selection:
        store = Store(folder, (2,), np.float32)
        cost = np.array(self.numbers, np.int64)
        return store.select(self.keys, self, cost=cost, batch=3, what="squares")


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


def test_a_damaged_file_is_computed_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Squares([1, 2]).of(tmp_path)
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-5])
    again = Squares([1, 2])
    np.testing.assert_array_equal(again.of(tmp_path).take(np.array([0, 1])), [[1, 1], [2, 4]])
    assert sorted(again.computed) == [1, 2]
    assert "damaged" in caplog.text


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path) -> None:
    class Interrupted(Squares):
        def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, list[str]]:
            if self.computed:
                raise KeyboardInterrupt
            return super().__call__(inputs)

    with pytest.raises(KeyboardInterrupt):
        Interrupted([1, 2, 3, 4]).of(tmp_path)
    after = Squares([1, 2, 3, 4])
    after.of(tmp_path)
    assert after.computed == [1]


def test_many_small_files_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "MANY_FILES", 5)
    for number in range(12):
        Squares([number]).of(tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) <= 6
    everything = Squares(list(range(12)))
    np.testing.assert_array_equal(everything.of(tmp_path).take(np.arange(12))[:, 1], np.arange(12) ** 2)
    assert not everything.computed
