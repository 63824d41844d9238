"""Reading tokens with a transformer: batches of like lengths, hidden states, one vector a text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.features.tokens import Side, Tokens

# Tokens, padding included, that an encoder reads at a time: a CPU likes what fits its cache, a GPU what fills it.
CHUNK = {"cpu": 1 << 12, "cuda": 1 << 16}

Pool = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """How texts are read.

    Args:
        pool: Of hidden states (k, T, width) and (k, T) bool, one vector each.
        pad: Token that fills short rows.
        side: Where it fills them.
        whole: Pad all texts of a batch to the longest of them; else they are read in chunks of like lengths, which
            gives the same vectors (where padding on the left moves no position) for less work.
        width: Pad to so many tokens at least.
        longest: Never pad to more.
    """

    pool: Pool
    pad: int
    side: Side
    whole: bool
    width: int
    longest: int

    def vectors(self, encoder: nn.Module, tokens: Tokens, texts: NDArray[np.int64]) -> Tensor:
        """(k, width) float32: the vectors of some texts, by number; k >= 1."""
        device = next(encoder.parameters()).device
        chunks = list(self.chunks(tokens.lengths[texts], CHUNK.get(device.type, CHUNK["cpu"])))
        read = torch.cat([self.chunk(encoder, tokens, texts[chunk], device) for chunk in chunks])
        return read[torch.from_numpy(np.argsort(np.concatenate(chunks))).to(device)]

    def chunks(self, lengths: NDArray[np.int64], most: int) -> Iterator[NDArray[np.int64]]:
        """Positions of texts that are read together: short ones with short ones."""
        order = np.argsort(lengths, kind="stable")
        if self.whole:
            yield order
            return
        start = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or (end + 1 - start) * lengths[order[end]] > most:
                yield order[start:end]
                start = end

    def chunk(self, encoder: nn.Module, tokens: Tokens, texts: NDArray[np.int64], device: torch.device) -> Tensor:
        width = max(self.width, int(tokens.lengths[texts].max()))
        if device.type == "cuda" and not self.whole and self.width == 1:
            width = min(-(-width // 8) * 8, self.longest)  # tensor cores like multiples of 8
        ids, mask = (part.to(device) for part in tokens.padded(texts, pad=self.pad, side=self.side, width=width))
        output: Any = encoder(input_ids=ids, attention_mask=mask)
        return self.pool(output.last_hidden_state.float(), mask.bool())
