"""The distinct pictures of some titles: their content, their pixels, and which of them cannot be read, and why."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anirec.features.cache import Compute, Selection, Store, key_of
from anirec.features.images import UnreadableError, content_key, read, side_by_side
from anirec.features.preprocessing import Preprocessing

NOTHING = "*"  # starts the note of an input of which no picture can be read


class Gallery:
    """Inputs of one or more pictures, which are seen side by side.

    Args:
        inputs: Paths of each.
        preprocessing: The encoder's own.
        cache: Folder that remembers the contents of files.

    `absent`, after `problems`: (n,) bool, inputs of which no picture can be read.
    """

    def __init__(self, inputs: Sequence[tuple[str, ...]], preprocessing: Preprocessing, cache: Path) -> None:
        self.inputs, self.preprocessing, self.cache = inputs, preprocessing, cache
        self.paths = sorted({path for paths in inputs for path in paths})
        self.keys, self.missing = {}, {}
        for path, key in zip(self.paths, in_threads(self.look_at, self.paths), strict=True):
            if isinstance(key, bytes):
                self.keys[path] = key
            else:
                self.missing[path] = str(key)

    def look_at(self, path: str) -> bytes | UnreadableError:
        try:
            return content_key(Path(path), self.cache)
        except UnreadableError as error:
            return error

    def select(self, store: Store, compute: Compute, *, batch: int, what: str) -> Selection:
        """The arrays of all inputs; those unknown so far are computed."""
        keys = [key_of(*(self.keys.get(path, b"") for path in paths)) for paths in self.inputs]
        cost = np.zeros(len(keys), np.int64)
        return store.select(keys, compute, cost=cost, batch=batch, what=what)

    def pixels(self, inputs: NDArray[np.int64]) -> tuple[NDArray[np.uint8], list[str]]:
        """(k, 3, H, W), zeros where nothing can be read; and for each a note of what could not.

        A note has a line `position reason` for each picture that cannot be read, after `*` if that is all of them.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on what it reads; its limit on pixels is higher than ours
            seen = list(in_threads(self.picture, [self.inputs[i] for i in inputs]))
        return np.stack([pixels for pixels, _ in seen]), [note for _, note in seen]

    def picture(self, paths: tuple[str, ...]) -> tuple[NDArray[np.uint8], str]:
        images, problems = [], []
        at_least = self.preprocessing.enough if len(paths) == 1 else None
        for position, path in enumerate(paths):
            try:
                images.append(read(Path(path), at_least=at_least))
            except UnreadableError as error:
                problems.append(f"{position} {error}")
        if not images:
            return np.zeros((3, *self.preprocessing.size), np.uint8), "\n".join([NOTHING, *problems])
        return self.preprocessing.bytes_of(side_by_side(images)), "\n".join(problems)

    def problems(self, notes: Sequence[str]) -> dict[str, str]:
        """Path -> why it cannot be read, out of the inputs' notes; sets `absent`."""
        problems = dict(self.missing)
        for paths, note in zip(self.inputs, notes, strict=True):
            for line in note.splitlines():
                position, _, reason = line.partition(" ")
                if position.isdigit():
                    problems.setdefault(paths[int(position)], reason)
        self.absent = np.array([note.startswith(NOTHING) for note in notes], bool)
        return problems


def in_threads(work: Any, of: Iterable[Any]) -> Iterable[Any]:
    """`work` done on each, in order; decoding leaves Python to others."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, of)
