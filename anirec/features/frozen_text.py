"""Vectors of texts by an encoder that does not learn, loaded only once there is something to compute."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anirec.features import text_encoders
from anirec.features.reading import Reading
from anirec.features.text_encoders import Recipe
from anirec.features.tokens import Tokens


class FrozenText:
    """Computes the vectors of `texts`, by number.

    Args:
        texts: All texts that may be asked for.
        folder: Of the encoder.
        layers: How many of its layers, from the first; None for all.
        max_tokens: A text's tokens beyond are cut off.
        reading: How an encoder of some recipe reads; raises a UserError if it cannot read so many tokens.
        device: What computes.
    """

    def __init__(
        self,
        texts: Sequence[str],
        *,
        folder: Path,
        layers: int | None,
        max_tokens: int,
        reading: Callable[[Recipe], Reading],
        device: torch.device,
    ) -> None:
        self.texts, self.folder, self.layers, self.max_tokens = texts, folder, layers, max_tokens
        self.reading, self.device = reading, device

    @cached_property
    def recipe(self) -> Recipe:
        return text_encoders.read_recipe(self.folder, self.layers)

    @cached_property
    def encoder(self) -> nn.Module:
        return text_encoders.load(self.folder, self.layers).eval().requires_grad_(False).to(self.device)

    def __call__(self, inputs: NDArray[np.int64]) -> tuple[NDArray[Any], list[str]]:
        """(k, width) float32, and no notes."""
        reading = self.reading(self.recipe)
        tokens = Tokens.of([self.texts[i] for i in inputs], self.recipe.tokenizer, self.max_tokens)
        with torch.inference_mode():
            vectors = reading.vectors(self.encoder, tokens, np.arange(len(inputs)))
        return vectors.cpu().numpy(), [""] * len(inputs)
