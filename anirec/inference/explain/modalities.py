"""Contribution of each modality: Shapley values over the branches of a score model."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from anirec.data.titles.loaders import EVALUATION_ROWS, TitleBatch
from anirec.features.branch import Branch, Members
from anirec.features.tabular import Counts
from anirec.features.tfidf import TfIdf
from anirec.inference.explain.shapley import shapley_values
from anirec.models.titles.base import ScoreModel

FloatArray = NDArray[np.float64]


@contextmanager
def replaced(target: Any, **methods: Callable[..., Any]) -> Iterator[None]:
    """Replace methods of one object in the block."""
    vars(target).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(target)[name]


@contextmanager
def returning(model: ScoreModel, parts: Mapping[str, Members]) -> Iterator[None]:
    """Let branches of a model return these vectors in the block, whatever the rows."""
    with ExitStack() as stack:
        for name, part in parts.items():
            stack.enter_context(replaced(model.branch(name), forward=lambda _, part=part: part))
        yield


@contextmanager
def without(model: ScoreModel, absent: Collection[str]) -> Iterator[None]:
    """Treat modalities as missing in the block, as the model does with titles that lack them."""
    with ExitStack() as stack:
        for name in absent:
            branch = model.branch(name)
            methods: dict[str, Callable[..., Any]] = {"forward": partial(read_missing, branch, branch.forward)}
            if isinstance(branch, TfIdf):
                methods["matrix"] = partial(empty_rows, branch)
            # The outer replacement of `forward`, if there is one, must be there again after the block.
            before = {name: vars(branch)[name] for name in methods if name in vars(branch)}
            stack.callback(vars(branch).update, before)
            stack.enter_context(replaced(branch, **methods))
        yield


def empty_rows(branch: TfIdf, index: NDArray[np.int64]) -> csr_matrix:
    return csr_matrix((len(index), branch.width), dtype=np.float32)


def read_missing(branch: Branch, read: Callable[[Tensor], Members], index: Tensor) -> Members:
    return missing(branch, read(index))


def missing(branch: Branch, part: Members) -> Members:
    """Return the vectors of titles without an input; an unknown count is the mean, whose vector is 0."""
    present = part.present if isinstance(branch, Counts) else torch.zeros_like(part.present)
    return Members(torch.zeros_like(part.values), present)


@torch.inference_mode()
def predict(model: ScoreModel, index: NDArray[np.int64]) -> FloatArray:
    """Return the predicted scores of rows of the titles that the model looks at, (n,)."""
    batch = TitleBatch(torch.from_numpy(index), torch.full((len(index),), float("nan")))
    return model(batch).double().cpu().numpy()


@torch.inference_mode()
def contributions(
    model: ScoreModel, index: NDArray[np.int64]
) -> tuple[dict[str, FloatArray], FloatArray, dict[str, NDArray[np.bool_]]]:
    """Return the Shapley value of each branch, (n,); the prediction without any; and which titles have each modality.

    Args:
        model: A model with branches, which has looked at the titles.
        index: Rows of the titles, (n,).
    """
    names = list(model.branches)
    found: list[tuple[dict[str, FloatArray], FloatArray, dict[str, NDArray[np.bool_]]]] = []
    for start in range(0, len(index), EVALUATION_ROWS):
        rows = index[start : start + EVALUATION_ROWS]
        parts = {name: model.branch(name)(torch.from_numpy(rows)) for name in names}  # encoders run once

        def value(some: frozenset[str], rows: NDArray[np.int64] = rows) -> FloatArray:
            with without(model, [name for name in names if name not in some]):
                return predict(model, rows)

        with returning(model, parts):
            values, nothing = shapley_values(names, value), value(frozenset())
        found.append((values, nothing, {name: part.present.any(1).numpy() for name, part in parts.items()}))
    return (
        {name: np.concatenate([values[name] for values, _, _ in found]) for name in names},
        np.concatenate([nothing for _, nothing, _ in found]),
        {name: np.concatenate([has[name] for _, _, has in found]) for name in names},
    )
