"""What is computed once: arrays of one shape, kept on disk under the content that they were made from.

<cache>/embeddings/<what computes them>/<random>.npy     rows of (key, note, value); mapped, never read whole

A second run over the same inputs computes nothing. Files appear whole, by renaming; a damaged one is computed anew.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

from anirec.atomic import replacing
from anirec.data.waiting import Waiting
from anirec.notices import warn

FILE_BYTES = 1 << 28  # of results gathered before they are written
MANY_FILES, FEW_ROWS = 50, 1000  # more files than this: those of fewer rows are put together
NOTE = 256  # bytes

# Positions of inputs -> their arrays, and a note on each (such as why a picture cannot be read; "" for none).
Compute = Callable[[NDArray[np.int64]], tuple[NDArray[Any], Sequence[str]]]


def key_of(*parts: bytes) -> bytes:
    """16 bytes that stand for a content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()[:16]


def store_name(identity: Mapping[str, Any]) -> str:
    """The folder's name for what computes the arrays: its weights, preprocessing and pooling."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


class Selection:
    """The arrays of n inputs, on disk.

    Args:
        files: Mapped arrays of rows.
        place: (n, 2) of each input: which file, and which row of it.
    """

    def __init__(self, files: list[NDArray[Any]], place: NDArray[np.int64]) -> None:
        self.files, self.place = files, place

    def take(self, inputs: NDArray[np.int64]) -> NDArray[Any]:
        """(k, …): the arrays of some inputs."""
        file, row = self.place[inputs].T
        value = self.files[0].dtype["value"]
        taken = np.empty((len(inputs), *value.shape), value.base)
        for number in np.unique(file):
            taken[file == number] = self.files[number]["value"][row[file == number]]
        return taken

    def notes(self) -> list[str]:
        """(n,)."""
        return [bytes(self.files[file]["note"][row]).decode("utf-8", "ignore") for file, row in self.place]


class Store:
    """All arrays that one way of computing has given so far.

    Args:
        folder: Where they lie.
        shape, dtype: Of each array.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder = folder
        self.row = np.dtype([("key", "V16"), ("note", f"S{NOTE}"), ("value", dtype, shape)])
        self.paths: list[Path] = []
        self.files: list[NDArray[Any]] = []
        self.place: dict[bytes, tuple[int, int]] = {}
        for path in sorted(folder.glob("*.npy")):
            self.add(path)

    def add(self, path: Path) -> None:
        """Know the rows of a file."""
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
            if rows.dtype != self.row:
                raise ValueError(f"rows of {rows.dtype}")
        except (OSError, ValueError, EOFError) as error:
            warn(f"{path} is damaged and is not used ({error})")
            return
        self.place.update((key.tobytes(), (len(self.files), row)) for row, key in enumerate(rows["key"]))
        self.paths.append(path)
        self.files.append(rows)

    def select(
        self, keys: Sequence[bytes], compute: Compute, *, cost: NDArray[np.int64], batch: int, what: str
    ) -> Selection:
        """The arrays of all `keys`; those unknown so far are computed, the costliest first, `batch` at a time."""
        missing = np.array([i for i, key in enumerate(keys) if key not in self.place], np.int64)
        missing = missing[np.argsort(-cost[missing], kind="stable")]
        if len(missing):
            self.fill(keys, missing, compute, batch, what)
        place = np.array([self.place[key] for key in keys], np.int64).reshape(-1, 2)
        return Selection(self.files or [np.empty(0, self.row)], place)

    def fill(self, keys: Sequence[bytes], missing: NDArray[np.int64], compute: Compute, batch: int, what: str) -> None:
        rows: list[NDArray[Any]] = []
        with Waiting(what) as waiting:
            try:
                for start in range(0, len(missing), batch):
                    waiting.step(f"{start:,} of {len(missing):,}")
                    rows.append(self.rows(keys, missing[start : start + batch], compute))
                    if sum(part.nbytes for part in rows) > FILE_BYTES:
                        self.write(rows)
            finally:
                self.write(rows)  # also what an interrupted run has done
        self.tidy()

    def rows(self, keys: Sequence[bytes], inputs: NDArray[np.int64], compute: Compute) -> NDArray[Any]:
        rows = np.zeros(len(inputs), self.row)
        rows["value"], notes = compute(inputs)
        rows["note"] = [note.encode()[:NOTE] for note in notes]
        rows["key"] = np.frombuffer(b"".join(keys[i] for i in inputs), "V16")
        return rows

    def write(self, rows: list[NDArray[Any]]) -> None:
        """Write gathered rows as one file, and forget that they were gathered."""
        if not rows:
            return
        path = self.folder / f"{uuid4().hex}.npy"
        with replacing(path) as beside, beside.open("wb") as file:
            np.save(file, np.concatenate(rows), allow_pickle=False)
        rows.clear()
        self.add(path)

    def tidy(self) -> None:
        """Put many small files together: each prediction of a single title leaves one."""
        small = [(path, rows) for path, rows in zip(self.paths, self.files, strict=True) if len(rows) < FEW_ROWS]
        if len(small) > MANY_FILES:
            self.write([np.array(rows) for _, rows in small])
            for path, _ in small:
                path.unlink(missing_ok=True)
