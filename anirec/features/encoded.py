"""What texts and pictures share: an encoder turns each distinct input into a vector, for all members that read it."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.data.prepare.fingerprint import digest
from anirec.features import encoders
from anirec.features.branch import Branch, Members
from anirec.features.cache import Compute, Selection, Store
from anirec.features.places import Places, members_of

Vectors = Callable[[nn.Module, NDArray[np.int64]], tuple[Tensor, Sequence[str]]]


class Encoded(Branch):
    """A branch with an encoder, which learns, or is frozen: then its vectors are computed once and kept on disk.

    Define `load` and `encode`; let `look` set `places`, and `arrays` (the vectors of all inputs) if frozen, else `cost`
    (n_inputs,), of encoding each.
    """

    encoder_name: str
    fingerprint: str | None = None
    places: Places
    arrays: Selection
    cost: NDArray[np.int64]

    @abstractmethod
    def load(self) -> nn.Module:
        """The encoder with its pretrained weights."""

    @abstractmethod
    def encode(self, inputs: NDArray[np.int64]) -> Tensor:
        """(k, width) float32: what the encoder that learns makes of some inputs, by number; k >= 1."""

    def store(self, weights: Path, cache: Path, identity: dict[str, Any]) -> Store:
        """Where a frozen encoder's vectors are kept; `identity` is what they depend on beside its weights.

        Raises:
            UserError: They are not the weights that the branch was fitted with.
        """
        found = encoders.fingerprint(weights, cache)
        encoders.check_fingerprint(self.encoder_name, self.fingerprint, found)
        self.fingerprint = found
        return Store(cache / "embeddings" / digest({"weights": found, **identity}), (self.width,), np.float32)

    def computing(self, vectors: Vectors, device: torch.device) -> Compute:
        """`vectors` by the frozen encoder, which is loaded only once there is something to compute."""
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
            return members_of(torch.from_numpy(self.arrays.take(inputs)).to(index.device), place)
        if not len(inputs) and len(self.cost):
            inputs = np.zeros(1, np.int64)  # encoded, but for nobody: every process must have a gradient to share
        if not len(inputs):
            return members_of(torch.zeros(0, self.width, device=next(self.parameters()).device), place)
        return members_of(self.encode(inputs), place)
