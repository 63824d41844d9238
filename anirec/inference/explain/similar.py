"""Training titles that are most similar to a title in the model's own representation."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.preprocessing import normalize
from torch import Tensor, nn

from anirec.data.titles.loaders import EVALUATION_ROWS
from anirec.inference.explain.modalities import predict
from anirec.models.branched import branch_features
from anirec.models.titles.base import ScoreModel
from anirec.models.titles.kernel_ridge import Gaussian, KernelRidge
from anirec.models.titles.ridge import Ridge

FloatArray = NDArray[np.float64]


@torch.inference_mode()
def similarity(model: ScoreModel, title: int, others: NDArray[np.int64]) -> FloatArray:
    """Return the similarity of a title to others, (n,), at most 1.

    It is the cosine of the weighted features of a ridge regression, the kernel of a kernel ridge regression, or the
    cosine of the inputs of a network's last layer, centred on the others.
    """
    index = np.concatenate([[title], others])
    if isinstance(model, Ridge):
        columns = hstack([branch_features(model.branch(name), torch.from_numpy(index)) for name in model.weights])
        return cosine(columns.tocsr().multiply(model.scale.numpy()).tocsr())
    if isinstance(model, KernelRidge):
        return kernel_similarity(model, index)
    hidden = last_layer_inputs(model, index)
    return cosine(hidden - hidden[1:].mean(0))


def cosine(rows: Any) -> FloatArray:
    """Return the cosine of the first row with each of the others."""
    unit = normalize(rows)
    product = unit[1:] @ unit[0].T
    return np.asarray(product.todense() if isinstance(unit, csr_matrix) else product).ravel()


def kernel_similarity(model: KernelRidge, index: NDArray[np.int64]) -> FloatArray:
    """Return the weighted mean of the kernels between the first title and the others; 1 with itself."""
    total: Any = 0.0
    for name, weight in model.weights.items():
        rows, kernel = branch_features(model.branch(name), torch.from_numpy(index)), model.known[name]
        if isinstance(kernel, Gaussian):
            dense = kernel.standardise(rows.toarray().astype(np.float64))
            total = total + weight * np.exp(-((dense[1:] - dense[0]) ** 2).sum(1) / dense.shape[1])
        else:
            total = total + weight * cosine(rows)
    return np.asarray(total / sum(model.weights.values()))


def last_layer_inputs(model: ScoreModel, index: NDArray[np.int64]) -> FloatArray:
    """Return the inputs of the last linear layer that a model applies, (n, width)."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].detach())

    handles = [layer.register_forward_pre_hook(hook) for layer in model.modules() if isinstance(layer, nn.Linear)]
    rows = []
    try:
        for start in range(0, len(index), EVALUATION_ROWS):
            predict(model, index[start : start + EVALUATION_ROWS])
            rows.append(seen[-1].double().numpy())
            seen.clear()
    finally:
        for handle in handles:
            handle.remove()
    return np.concatenate(rows)
