"""Closed forms beside scikit-learn's, and what the networks do with what they are given."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.sparse import hstack
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics.pairwise import rbf_kernel

from anirec.data.titles import TitleBatch
from anirec.errors import UserError
from anirec.features.counts import Counts
from anirec.features.tfidf import TfIdf
from anirec.models.closed_form import ClosedForm
from anirec.models.kernel_ridge import KernelRidge
from anirec.models.ridge import Ridge
from anirec.models.seen import seen

WORDS = "robot dream school war quiet love sword idol detective rain sea music ghost train".split()


def titles(n: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "synopsis": [" ".join(random.choice(WORDS, random.integers(4, 30))) for _ in range(n)],
            "score": random.normal(7, 1, n).clip(1, 10).astype(np.float32),
            "n_main_characters": random.integers(1, 5, n).astype(np.int32),
        }
    )


TRAIN, NEW = titles(150, 0), titles(40, 1)


def tfidf() -> TfIdf:
    return TfIdf(
        columns=["synopsis"], ngrams=[1, 2], analyzer="word", min_df=2, max_features=None, sublinear=True, punctuation=False
    )


def counts() -> Counts:
    return Counts(columns=["synopsis_words", "n_main_characters"])


def learned(model: ClosedForm, cache: Path) -> Any:
    """The model's predictions for new titles."""
    model.fit(TRAIN)
    model.look(TRAIN, cache=cache, device=torch.device("cpu"))
    model.configure_model()
    model.learn(TitleBatch(torch.arange(len(TRAIN)), torch.from_numpy(TRAIN["score"].to_numpy(writable=True))))
    model.look(NEW, cache=cache, device=torch.device("cpu"))
    return model(TitleBatch(torch.arange(len(NEW)), torch.full((len(NEW),), float("nan")))).numpy()


def rows(branch: Any, table: pl.DataFrame, cache: Path) -> Any:
    branch.look(table, cache=cache, device=torch.device("cpu"))
    return seen(branch, torch.arange(len(table)))


def test_ridge_is_scikit_learns(cache: Path) -> None:
    model = Ridge(branches={"words": tfidf(), "counts": counts()}, alpha=0.7, weights={"counts": 0.5})
    found = learned(model, cache)
    scale = model.scale.numpy()
    parts = [hstack([rows(model.branch(name), table, cache) for name in model.weights]) for table in (TRAIN, NEW)]
    known, new = (np.asarray(part.todense()) * scale for part in parts)
    expected = SklearnRidge(alpha=0.7, solver="cholesky").fit(known, TRAIN["score"]).predict(new)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    blocks = np.split(known - known.mean(0), [model.branch("words").width], axis=1)
    assert [np.sqrt((block**2).sum(1).mean()) for block in blocks] == pytest.approx([1.0, 0.5])


def test_kernel_ridge_is_scikit_learns(cache: Path) -> None:
    model = KernelRidge(
        branches={"words": tfidf(), "counts": counts()},
        kernels={"words": "linear", "counts": "rbf"},
        weights={"words": 1.0, "counts": 0.3},
        alpha=0.5,
    )
    found = learned(model, cache)
    words, numbers = ([rows(model.branch(n), t, cache).toarray() for t in (TRAIN, NEW)] for n in model.weights)
    centre, scale = numbers[0].mean(0), np.where(numbers[0].std(0) > 0, numbers[0].std(0), 1)
    numbers = [(part - centre) / scale for part in numbers]
    gamma = 1 / numbers[0].shape[1]
    kernels = [w @ words[0].T + 0.3 * rbf_kernel(c, numbers[0], gamma) for w, c in zip(words, numbers, strict=True)]
    score = TRAIN["score"].to_numpy().astype(np.float64)
    reference = SklearnKernelRidge(alpha=0.5, kernel="precomputed").fit(kernels[0], score - score.mean())
    np.testing.assert_allclose(found, reference.predict(kernels[1]) + score.mean(), atol=1e-5)


def test_settings_that_name_no_branch_are_refused() -> None:
    with pytest.raises(UserError, match=r"model.weights names word; the branches are words"):
        Ridge(branches={"words": tfidf()}, alpha=1.0, weights={"word": 2.0})
    with pytest.raises(UserError, match=r"model.kernels is for words; expected one for each of words, counts"):
        KernelRidge(branches={"words": tfidf(), "counts": counts()}, kernels={"words": "linear"}, weights={}, alpha=1.0)
    with pytest.raises(UserError, match=r"model.branches is empty"):
        Ridge(branches={}, alpha=1.0, weights=None)
