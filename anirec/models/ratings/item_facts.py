"""What is known of users and items besides predictions: their ratings, and age, genres and synopsis of titles."""

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.ratings.interactions import Interactions
from anirec.metrics.beyond_accuracy import genre_matrix
from anirec.notices import warn

FACTS = 3  # of the ratings of a user or item
DAMPING = 5.0  # imaginary ratings with the mean and variance of all, in these facts
TEXT_WIDTH = 64  # numbers to which a synopsis is compressed
UNSPACED = re.compile("[\\u3040-\\u30ff\\u3400-\\u9fff]{3,}")  # kana and Han characters: text without spaces


def rating_facts(rows: Interactions, index: NDArray[np.int32], n: int) -> NDArray[np.float32]:
    """Return number (log of 1 + n), damped mean and damped standard deviation of the ratings of each user or item.

    Args:
        rows: The ratings.
        index: User or item of each row.
        n: Number of users or items; one more row, the last, stands for an unknown one.
    """
    rating = rows.rating.astype(np.float64)
    rated = ~np.isnan(rating)
    index, rating = index[rated], rating[rated]
    mean, variance = rating.mean(), rating.var()
    count = np.bincount(index, minlength=n + 1)
    mean_n = (np.bincount(index, rating, n + 1) + DAMPING * mean) / (count + DAMPING)
    square_n = np.bincount(index, (rating - mean_n[index]) ** 2, n + 1) + DAMPING * variance
    return np.column_stack([np.log1p(count), mean_n, np.sqrt(square_n / (count + DAMPING))]).astype(np.float32)


def ages(items: pl.DataFrame, n: int) -> NDArray[np.float32]:
    """Return the age of each title in years when the newest one airs, (n,); -1 where unknown."""
    if "aired_from" not in items.columns:
        return np.full(n, -1, np.float32)
    day = pl.col("aired_from").cast(pl.Date).cast(pl.Int32)
    age = items.select(((day.max() - day) / 365.25).fill_null(-1).cast(pl.Float32))
    return age.to_series().to_numpy()


def genre_vectors(items: pl.DataFrame, n: int) -> NDArray[np.float32]:
    """Return the genres of each title, rare ones weighted more, as rows of length 1 (or 0), (n, n_genres)."""
    if "genres" not in items.columns:
        return np.zeros((n, 0), np.float32)
    genres = genre_matrix(items["genres"])
    weighted = genres * np.log(n / np.maximum(1, genres.sum(0)))
    return (weighted / np.maximum(1e-12, np.linalg.norm(weighted, axis=1, keepdims=True))).astype(np.float32)


def text_vectors(items: pl.DataFrame, n: int) -> NDArray[np.float32]:
    """Return the synopsis of each title by latent semantic analysis, as rows of length 1 (or 0), (n, width)."""
    if "synopsis" not in items.columns or items["synopsis"].n_unique() <= 2 * TEXT_WIDTH:
        return np.zeros((n, 0), np.float32)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize as with_length_one

    from anirec.models.ratings.kernels.dense import one_blas_thread

    texts = [UNSPACED.sub(character_pairs, text) for text in items["synopsis"].fill_null("")]
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, max_df=0.2, stop_words="english", dtype=np.float32)
    try:
        counted = words.fit_transform(texts)
    except ValueError:  # scikit-learn's error if no word is left
        counted = np.zeros((n, 0), np.float32)
    if counted.shape[1] < 2:
        warn("No words of the synopses are in 3 titles and in at most a fifth of all; the synopses are not used.")
        return np.zeros((n, 0), np.float32)
    width = min(TEXT_WIDTH, counted.shape[1] - 1)
    with one_blas_thread():
        return with_length_one(TruncatedSVD(width, random_state=0).fit_transform(counted)).astype(np.float32)


def character_pairs(run: re.Match[str]) -> str:
    """Return the pairs of adjacent characters as words.

    >>> UNSPACED.sub(character_pairs, "a 魔法少女 b")
    'a 魔法 法少 少女 b'
    """
    text = run.group()
    return " ".join(text[place : place + 2] for place in range(len(text) - 1))
