"""Texts as ragged rows of token numbers, tokenised once, padded only when a batch is made."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError

Side = Literal["left", "right"]


class Tokens:
    """Token numbers of n texts, one after the other.

    `n_cut` texts were longer than allowed and lost their end.
    """

    def __init__(self, start: NDArray[np.int64], number: NDArray[np.int32], n_cut: int) -> None:
        self.start, self.number, self.n_cut = start, number, n_cut

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: str, max_tokens: int) -> "Tokens":
        """Tokenise, special tokens included, with a tokenizer given as JSON.

        Raises:
            UserError: It is none.
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
        """(n,) tokens."""
        return np.diff(self.start)

    def padded(self, rows: NDArray[np.int64], *, pad: int, side: Side, width: int) -> tuple[Tensor, Tensor]:
        """The token numbers (k, width) int64 of some texts, and (k, width) int64, 1 where a token is no padding."""
        lengths = self.lengths[rows]
        column = np.arange(width)
        offset = np.where(side == "left", width - lengths, 0)[:, None]
        real = (column >= offset) & (column < offset + lengths[:, None])
        numbers = np.full((len(rows), width), pad, np.int64)
        numbers[real] = self.number[(self.start[rows][:, None] + column - offset)[real]]
        return torch.from_numpy(numbers), torch.from_numpy(real.astype(np.int64))
