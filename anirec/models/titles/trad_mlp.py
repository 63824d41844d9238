"""The published "traditional" baseline: a multilayer perceptron on TF-IDF and raw pixels, with its flaws.

`model=tfidf_ridge` is the repaired version.
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
    """Multilayer perceptron on TF-IDF of the synopsis, TF-IDF of the descriptions and pixels of the portraits.

    Each input is cut or padded to `width` numbers. Three flaws are kept as published: TF-IDF is fitted to the texts of
    each batch and truncated to integers, which leaves zeros; the softmax runs over the batch, so that its scaled
    predictions sum to 1; and the pixels, integers from 0 to 255, cover only the top rows of the picture. The prediction
    for a title therefore depends on the other titles in its batch.

    Args:
        width: Number of features per modality; >= 1.
        hidden: Widths of the hidden layers, by activation.
        training: Optimiser, learning rates and batch size.

    References:
        Armenta-Segura & Sidorov, PeerJ Computer Science 11:e2715, 2025, table 6 and accompanying code.
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
        words = [truncated_tfidf([texts[row] for row in rows], self.width) for texts in self.texts]
        x = torch.from_numpy(np.concatenate([*words, self.pixels[rows]], axis=1)).to(self.device)
        return self.perceptron(x).squeeze(-1).softmax(dim=0)


def truncated_tfidf(texts: list[str], width: int) -> NDArray[np.float32]:
    """Return TF-IDF fitted to these texts, truncated to integers and cut or padded to (B, width).

    >>> truncated_tfidf(["a boy meets a robot", "a girl leads a band"], 4).sum()
    np.float32(0.0)
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        values = TfidfVectorizer().fit_transform(texts).toarray().astype(np.int64)
    except ValueError:  # no words in the batch
        values = np.zeros((len(texts), 0), dtype=np.int64)
    return pad_or_cut(values, width)


def first_pixels(paths: list[str | None], width: int) -> NDArray[np.float32]:
    """Return the red channel of the first pixels of a title's pictures, joined side by side: (width,), 0 to 255.

    All zeros for a title without a readable picture.
    """
    pictures = []
    for path in paths:
        with suppress(UnreadableImageError):
            pictures += [read_image(Path(path))] if path else []
    if not pictures:
        return np.zeros(width, dtype=np.float32)
    red = np.asarray(side_by_side(pictures))[:, :, 0]
    return pad_or_cut(red.reshape(1, -1), width)[0]


def pad_or_cut(rows: NDArray[np.integer], width: int) -> NDArray[np.float32]:
    """Cut rows to `width`, or pad them with zeros: (B, width)."""
    kept = rows[:, :width].astype(np.float32)
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1])))
