"""The traditional baseline as published: TF-IDF and raw pixels into a perceptron, with the flaws that broke it.

Its repair is `tfidf_ridge`: the same information, read as it was meant to be.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.features.images import UnreadableImageError, read_image, side_by_side
from anirec.features.tokens import texts_of
from anirec.models.titles.network import Layers, Network, layers
from anirec.models.training import HeadTraining
from anirec.settings import PositiveInt

TEXTS = ("synopsis", "descriptions")


class TradMLP(Network):
    """Perceptron on TF-IDF of the synopsis, TF-IDF of the descriptions, and pixels, each cut or padded to `width`.

    As published, TF-IDF is fitted anew to the texts of every batch and rounded down to whole numbers, which leaves
    zeros; the softmax runs over the batch, so that its predictions add up to 1; the pixels are whole numbers, 0-255, of
    which the first `width` are the picture's top rows. What it predicts for a title depends on the rest of its batch.

    Args:
        width: Numbers of each modality.
        hidden: Layers by activation.
        training: Optimiser, rates, batches.

    Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025, table 6 and their code.
    """

    def __init__(self, *, width: PositiveInt, hidden: Layers, training: HeadTraining) -> None:
        super().__init__(branches={}, training=training)
        self.width, self.hidden = width, hidden

    def allocate(self) -> None:
        self.perceptron, width = layers(3 * self.width, self.hidden, dropout=0.0)
        self.perceptron.append(nn.Linear(width, 1))

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        self.texts = [[row[0] or "" for row in texts_of(titles, column, join=True)] for column in TEXTS]
        self.pixels = np.stack([first_pixels(row, self.width) for row in titles["portraits"].to_list()])

    def unit(self, index: Tensor) -> Tensor:
        rows = index.cpu().numpy()
        words = [whole_tfidf([texts[row] for row in rows], self.width) for texts in self.texts]
        x = torch.from_numpy(np.concatenate([*words, self.pixels[rows]], axis=1)).to(index.device)
        return self.perceptron(x).squeeze(-1).softmax(dim=0)


def whole_tfidf(texts: list[str], width: int) -> NDArray[np.float32]:
    """(B, width): TF-IDF of these texts alone, rounded down, cut or padded.

    >>> whole_tfidf(["a boy meets a robot", "a girl leads a band"], 4).sum()
    np.float32(0.0)
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        values = TfidfVectorizer().fit_transform(texts).toarray().astype(np.int64)
    except ValueError:  # no text in the whole batch
        values = np.zeros((len(texts), 0), dtype=np.int64)
    return padded(values, width)


def first_pixels(paths: list[str | None], width: int) -> NDArray[np.float32]:
    """(width,): of a title's pictures side by side, the red of the first pixels, 0-255; zeros without a picture."""
    pictures = []
    for path in paths:
        with suppress(UnreadableImageError):
            pictures += [read_image(Path(path))] if path else []
    if not pictures:
        return np.zeros(width, dtype=np.float32)
    red = np.asarray(side_by_side(pictures))[:, :, 0]
    return padded(red.reshape(1, -1), width)[0]


def padded(rows: NDArray[np.integer], width: int) -> NDArray[np.float32]:
    """(B, width): cut, or filled with zeros."""
    kept = rows[:, :width].astype(np.float32)
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1])))
