"""The base class of the branches of texts and pictures, in which an encoder computes a vector per distinct input."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from anirec.data.prepare.fingerprint import digest
from anirec.features import encoders
from anirec.features.branch import Branch, Members
from anirec.features.cache import Compute, Selection, Store

Input = TypeVar("Input", bound=Hashable)
ABSENT = -1


class InputRows:
    """The inputs of each title's members, as ragged rows of input numbers; the number of an absent member is -1.

    >>> places, inputs = InputRows.of([["a", "b"], [], ["b", None]])
    >>> inputs
    ['a', 'b']
    >>> numbers, place_bm = places.batch(np.array([2, 1]))
    >>> numbers, place_bm.tolist()
    (array([1]), [[0, -1], [-1, -1]])
    """

    def __init__(self, start: NDArray[np.int64], number: NDArray[np.int64]) -> None:
        self.start, self.number = start, number

    @classmethod
    def of(cls, members: Sequence[Sequence[Input | None]]) -> "tuple[InputRows, list[Input]]":
        """Return the rows of all titles, and the distinct inputs in order of appearance."""
        numbers: dict[Input, int] = {}
        flat = [ABSENT if m is None else numbers.setdefault(m, len(numbers)) for title in members for m in title]
        start = np.cumsum([0, *map(len, members)])
        return cls(start.astype(np.int64), np.array(flat, np.int64)), list(numbers)

    def __len__(self) -> int:
        return len(self.start) - 1

    def without(self, absent: NDArray[np.bool_]) -> "InputRows":
        """Return the same rows, in which members are absent if their input is flagged in `absent`."""
        gone = (self.number >= 0) & np.append(absent, False)[self.number]
        return InputRows(self.start, np.where(gone, ABSENT, self.number))

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the distinct inputs (k,) of rows (B,), and the position of each member's input in them, (B, M)."""
        counts = self.start[index + 1] - self.start[index]
        columns = np.arange(max(1, counts.max(initial=0)))
        inside = columns < counts[:, None]
        member_bm = np.where(inside, self.start[index][:, None] + columns, 0)
        number_bm = np.where(inside, self.number[member_bm], ABSENT) if len(self.number) else np.where(inside, 0, -1)
        numbers, position = np.unique(number_bm[number_bm >= 0], return_inverse=True)
        place_bm = np.full(number_bm.shape, ABSENT, np.int64)
        place_bm[number_bm >= 0] = position
        return numbers, place_bm

    def total(self, cost: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the total cost of each title, (n_titles,), given the cost of each input; at least 1."""
        of_member = np.append(cost, 0)[self.number]
        summed = np.concatenate([[0], np.cumsum(of_member)])
        return np.maximum(1, summed[self.start[1:]] - summed[self.start[:-1]]).astype(np.int64)

    def n_present(self) -> int:
        """Return the number of titles with at least one present member."""
        summed = np.concatenate([[0], np.cumsum(self.number >= 0)])
        return int((summed[self.start[1:]] > summed[self.start[:-1]]).sum())


def members_of(vectors_kw: Tensor, place_bm: NDArray[np.int64]) -> Members:
    """Return the members (B, M) with the vectors (k, width) at the positions `place_bm`."""
    place = torch.from_numpy(place_bm).to(vectors_kw.device)
    vectors = vectors_kw.float()
    is_present = place >= 0
    # Absent members get the last row, of zeros. The gradient of indexing would depend on the order of threads.
    rows = torch.cat([vectors, vectors.new_zeros(1, vectors.shape[1])])
    return Members(embedding(place.where(is_present, len(vectors)), rows), is_present)


Vectors = Callable[[nn.Module, NDArray[np.int64]], tuple[Tensor, Sequence[str]]]


class Encoded(Branch):
    """A branch with an encoder that is trained, or frozen with vectors that are computed once and cached on disk.

    Subclasses define `load` and `encode`. Their `look` sets `places`, and `arrays` (the vectors of all inputs) if
    frozen, otherwise `cost` (n_inputs,), the cost of encoding each input.
    """

    encoder_name: str
    fingerprint: str | None = None
    places: InputRows
    arrays: Selection
    cost: NDArray[np.int64]

    @abstractmethod
    def load(self) -> nn.Module:
        """Return the encoder with its pretrained weights."""

    @abstractmethod
    def encode(self, inputs: NDArray[np.int64]) -> Tensor:
        """Return the vectors of k >= 1 inputs, given by number, from the trained encoder, (k, width) float32."""

    def store(self, weights: Path, cache: Path, identity: dict[str, Any]) -> Store:
        """Return the cache of a frozen encoder's vectors.

        Args:
            weights: Folder of the encoder.
            cache: Folder of the cache.
            identity: Everything but the weights that the vectors depend on.

        Raises:
            UserError: The weights differ from those that the branch was fitted with.
        """
        found = encoders.encoder_fingerprint(weights, cache)
        encoders.check_fingerprint(self.encoder_name, self.fingerprint, found)
        self.fingerprint = found
        return Store(cache / "embeddings" / digest({"weights": found, **identity}), (self.width,), np.float32)

    def computing(self, vectors: Vectors, device: torch.device) -> Compute:
        """Return a function that computes `vectors` with the frozen encoder, which is loaded on first use."""
        encoder = functools.cache(lambda: self.load().eval().requires_grad_(False).to(device))

        def compute(inputs: NDArray[np.int64]) -> tuple[NDArray[Any], Sequence[str]]:
            with torch.inference_mode():
                found, notes = vectors(encoder(), inputs)
            return found.cpu().numpy(), notes

        return compute

    def lengths(self) -> NDArray[np.int64]:
        return np.ones(len(self.places), np.int64) if self.frozen else self.places.total(self.cost)

    def forward(self, index: Tensor) -> Members:
        inputs, place = self.places.batch(index.cpu().numpy())
        if self.frozen:
            return members_of(torch.from_numpy(self.arrays.take(inputs)).to(self.device), place)
        if not len(inputs) and len(self.cost):
            inputs = np.zeros(1, np.int64)  # the result is not used, but every process must have a gradient to share
        if not len(inputs):
            return members_of(torch.zeros(0, self.width, device=self.device), place)
        return members_of(self.encode(inputs), place)
