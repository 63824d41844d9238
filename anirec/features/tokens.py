"""Tokenised texts as ragged rows of token numbers, and their encoding in padded batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.notices import warn

Side = Literal["left", "right"]


class Tokens:
    """Token numbers of n texts; text i has `number[start[i]:start[i + 1]]`.

    Args:
        start: int64 (n + 1,).
        number: int32 (start[-1],).
        n_cut: Number of texts that were truncated.
    """

    def __init__(self, start: NDArray[np.int64], number: NDArray[np.int32], n_cut: int) -> None:
        self.start, self.number, self.n_cut = start, number, n_cut

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: str, max_tokens: int) -> "Tokens":
        """Tokenise texts, with special tokens.

        Args:
            texts: The texts, (n,).
            tokenizer: JSON of the tokenizers library.
            max_tokens: Longer texts are truncated.

        Raises:
            UserError: The tokenizer is malformed.
        """
        from tokenizers import Tokenizer

        try:
            encoder = Tokenizer.from_str(tokenizer)
        except Exception as error:  # the library raises nothing more specific
            raise UserError(f"A text encoder's tokenizer cannot be read: {error}") from None
        encoder.no_padding()
        encoder.enable_truncation(max_tokens)
        encoded = encoder.encode_batch_fast(list(texts))
        start = np.cumsum([0, *(len(e) for e in encoded)]).astype(np.int64)
        number = np.concatenate([np.empty(0, np.int32), *(np.array(e.ids, np.int32) for e in encoded)])
        return cls(start, number.astype(np.int32), sum(bool(e.overflowing) for e in encoded))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens in each text, (n,)."""
        return np.diff(self.start)

    def padded(self, rows: NDArray[np.int64], *, pad: int, side: Side, width: int) -> tuple[Tensor, Tensor]:
        """Return the padded token numbers of k texts, (k, width) int64, and the attention mask, 1 for tokens."""
        lengths = self.lengths[rows]
        column = np.arange(width)
        offset = np.where(side == "left", width - lengths, 0)[:, None]
        real = (column >= offset) & (column < offset + lengths[:, None])
        numbers = np.full((len(rows), width), pad, np.int64)
        numbers[real] = self.number[(self.start[rows][:, None] + column - offset)[real]]
        return torch.from_numpy(numbers), torch.from_numpy(real.astype(np.int64))


# Tokens with padding that an encoder reads at a time: a CPU is fastest if they fit its cache, a GPU if they fill it.
CHUNK = {"cpu": 1 << 12, "cuda": 1 << 16}

Pool = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """How an encoder reads texts: padding, batches and pooling.

    Args:
        pool: Maps hidden states (k, T, width) and (k, T) bool to a vector each, (k, width).
        pad: Token for padding.
        side: Side of the padding.
        pad_batch: Whether to pad all texts of a batch to the longest of them. Otherwise, they are read in chunks of
            similar length, which gives the same vectors with less work, unless padding on the left shifts positions.
        width: Minimum number of tokens to pad to.
        longest: Maximum number of tokens to pad to.
    """

    pool: Pool
    pad: int
    side: Side
    pad_batch: bool
    width: int
    longest: int

    def vectors(self, encoder: nn.Module, tokens: Tokens, texts: NDArray[np.int64]) -> Tensor:
        """Return the vectors of k >= 1 texts, given by number, (k, width) float32."""
        device = next(encoder.parameters()).device
        chunks = list(self.chunks(tokens.lengths[texts], CHUNK.get(device.type, CHUNK["cpu"])))
        read = torch.cat([self.chunk(encoder, tokens, texts[chunk], device) for chunk in chunks])
        return read[torch.from_numpy(np.argsort(np.concatenate(chunks))).to(device)]

    def chunks(self, lengths: NDArray[np.int64], most: int) -> Iterator[NDArray[np.int64]]:
        """Yield the positions of texts that are read together, with similar lengths and at most `most` tokens."""
        order = np.argsort(lengths, kind="stable")
        if self.pad_batch:
            yield order
            return
        start = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or (end + 1 - start) * lengths[order[end]] > most:
                yield order[start:end]
                start = end

    def chunk(self, encoder: nn.Module, tokens: Tokens, texts: NDArray[np.int64], device: torch.device) -> Tensor:
        width = max(self.width, int(tokens.lengths[texts].max()))
        if device.type == "cuda" and not self.pad_batch and self.width == 1:
            width = min(-(-width // 8) * 8, self.longest)  # tensor cores are faster with multiples of 8
        ids, mask = (part.to(device) for part in tokens.padded(texts, pad=self.pad, side=self.side, width=width))
        output: Any = encoder(input_ids=ids, attention_mask=mask)
        return self.pool(output.last_hidden_state.float(), mask.bool())


def texts_of(titles: pl.DataFrame, column: str, *, join: bool) -> list[list[str | None]]:
    """Return the texts of each title, None for unknown or blank ones, and for all titles if the column is missing.

    Args:
        titles: The titles.
        column: A column of strings, for one text per title, or of lists of strings.
        join: Whether to join the texts of a title with spaces.

    >>> titles = pl.DataFrame({"descriptions": [["A thief.", None, " "], []]})
    >>> texts_of(titles, "descriptions", join=False)
    [['A thief.', None, None], []]
    >>> texts_of(titles, "descriptions", join=True)
    [['A thief.'], [None]]
    """
    if column not in titles.columns:
        warn(f"The {len(titles)} titles have no column {column}: their texts are treated as unknown")
        return [[None]] * len(titles)
    values = titles[column].to_list()
    if titles.schema[column] == pl.List:
        texts = [[strip_or_none(text) for text in value or []] for value in values]
        return [[strip_or_none(" ".join(text for text in row if text))] for row in texts] if join else texts
    return [[strip_or_none(value)] for value in values]


def strip_or_none(text: str | None) -> str | None:
    return (text or "").strip() or None
