"""The branch of TF-IDF vectors of texts, computed by scikit-learn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import torch
from annotated_types import Len
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from torch import Tensor

from anirec.errors import UserError
from anirec.features.branch import Branch, Members
from anirec.features.tokens import texts_of
from anirec.settings import PositiveInt


class TfIdf(Branch):
    """TF-IDF vectors of unit length for each column, concatenated (Salton & Buckley 1988; scikit-learn's variant).

    Args:
        columns: Columns of strings, or of lists of strings, which are joined.
        ngrams: Minimum and maximum number of words (or characters) in a term.
        analyzer: Whether terms consist of words ("word"), or of characters within words ("char_wb").
        min_df: Minimum number of training titles with a term.
        max_features: Maximum number of terms per column, most frequent first; null keeps all.
        sublinear: Whether n uses of a term count as 1 + log n.
        punctuation: Whether punctuation marks are terms, too; they reflect how carefully a text was edited.
    """

    def __init__(
        self,
        *,
        columns: Annotated[list[str], Len(1)],
        ngrams: Annotated[list[PositiveInt], Len(2, 2)],
        analyzer: Literal["word", "char_wb"],
        min_df: PositiveInt,
        max_features: PositiveInt | None,
        sublinear: bool,
        punctuation: bool,
    ) -> None:
        super().__init__()
        self.columns, self.ngrams, self.analyzer = list(columns), (int(ngrams[0]), int(ngrams[-1])), analyzer
        self.min_df, self.max_features, self.sublinear = min_df, max_features, sublinear
        self.punctuation = punctuation
        self.requires = frozenset({"description" if c == "descriptions" else c for c in columns})
        self.frozen = True
        if self.ngrams[0] > self.ngrams[1]:
            raise UserError(f"ngrams={ngrams}: expected [minimum, maximum]")

    def vectorizer(self, vocabulary: Mapping[str, int] | None = None) -> Any:
        """Return a vectorizer of scikit-learn that is not fitted; with a vocabulary, its columns are given."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=self.ngrams,
            analyzer=self.analyzer,
            min_df=self.min_df,
            max_features=self.max_features,
            sublinear_tf=self.sublinear,
            token_pattern=r"\w+|[^\w\s]" if self.punctuation else r"(?u)\b\w\w+\b",
            vocabulary=vocabulary,
            dtype=np.float32,
        )

    def fit(self, titles: pl.DataFrame) -> None:
        self.vectorizers = [self.fit_column(titles, column) for column in self.columns]
        self.width = sum(len(vectorizer.vocabulary_) for vectorizer in self.vectorizers)

    def fit_column(self, titles: pl.DataFrame, column: str) -> Any:
        """Return the vectorizer of a column, fitted on its texts."""
        texts = [text for text in join_texts(titles, column) if text]
        try:
            return self.vectorizer().fit(texts)
        except ValueError as error:  # no text, only stop words, or no term in `min_df` titles
            raise UserError(
                f"TF-IDF finds no term in the column {column}, which {len(texts)} of {len(titles)} training titles "
                f"have ({error}). Lower min_df={self.min_df} or use another column."
            ) from None

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        texts = [join_texts(titles, column) for column in self.columns]
        blocks = [v.transform([text or "" for text in t]) for v, t in zip(self.vectorizers, texts, strict=True)]
        self.rows: csr_matrix = csr_matrix(hstack(blocks, format="csr"))
        self.present = np.array([any(row) for row in zip(*texts, strict=True)], bool)
        self.coverage = {"titles": len(titles), "with_text": int(self.present.sum()), "terms": self.width}

    def matrix(self, index: NDArray[np.int64]) -> csr_matrix:
        """Return the sparse rows of titles, (B, width) float32, for models with a closed-form solution."""
        return self.rows[index]

    def forward(self, index: Tensor) -> Members:
        rows = index.cpu().numpy()
        values = torch.from_numpy(self.rows[rows].toarray()).unsqueeze(1).to(self.device)
        return Members(values, torch.from_numpy(self.present[rows]).unsqueeze(1).to(self.device))

    def lengths(self) -> NDArray[np.int64]:
        return np.ones(self.rows.shape[0], np.int64)

    def description(self) -> dict[str, Any]:
        return {
            "columns": [{"terms": list(v.get_feature_names_out()), "idf": v.idf_.tolist()} for v in self.vectorizers]
        }

    def restore(self, description: Mapping[str, Any]) -> None:
        self.vectorizers = []
        for column in description["columns"]:
            vectorizer = self.vectorizer({term: i for i, term in enumerate(column["terms"])})
            vectorizer.idf_ = np.array(column["idf"], np.float32)
            self.vectorizers.append(vectorizer)
        self.width = sum(len(column["terms"]) for column in description["columns"])

    def terms(self) -> list[str]:
        """Return the term of each column of `matrix`, (width,)."""
        return [term for vectorizer in self.vectorizers for term in vectorizer.get_feature_names_out()]


def join_texts(titles: pl.DataFrame, column: str) -> list[str | None]:
    """Return the text of each title, joined if there are several; None without a text."""
    return [texts[0] for texts in texts_of(titles, column, join=True)]
