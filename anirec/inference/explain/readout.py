"""The score of a title as a differentiable function of the vectors of its branches."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from anirec.data.titles.loaders import TitleBatch
from anirec.features.branch import Members, mean_pool
from anirec.features.tfidf import TfIdf
from anirec.inference.explain.modalities import returning
from anirec.models.branched import n_features
from anirec.models.titles.base import ScoreModel
from anirec.models.titles.fusion import Fusion
from anirec.models.titles.kernel_ridge import KernelRidge, Linear
from anirec.models.titles.ridge import Ridge

Readout = Callable[[Mapping[str, Members]], Tensor]


def readout_of(model: ScoreModel) -> Readout:
    """Return the function that maps the vectors of all branches to scores (B,), differentiable."""
    if isinstance(model, Ridge):
        return ridge_readout(model)
    if isinstance(model, KernelRidge):
        return kernel_readout(model)

    def read(parts: Mapping[str, Members]) -> Tensor:
        n = len(next(iter(parts.values())).values)
        with returning(model, parts):
            return model(TitleBatch(torch.zeros(n, dtype=torch.int64), torch.full((n,), float("nan"))))

    return read


def ridge_readout(model: Ridge) -> Readout:
    widths = [n_features(model.branch(name)) for name in model.weights]
    slopes = dict(zip(model.weights, (model.coefficient * model.scale).split(widths), strict=True))
    return lambda parts: (
        model.intercept + sum(features(model, name, part) @ slopes[name] for name, part in parts.items())
    )


def kernel_readout(model: KernelRidge) -> Readout:
    def term(name: str, part: Members) -> Tensor:
        rows, kernel = features(model, name, part), cast(Any, model.known[name])
        if isinstance(kernel, Linear):
            return rows @ kernel.coefficient
        near = torch.cdist((rows - kernel.centre) / kernel.scale, kernel.rows) ** 2
        return (-near / rows.shape[1]).exp() @ kernel.dual

    return lambda parts: model.mean + sum(term(name, part) for name, part in parts.items())


def features(model: ScoreModel, name: str, part: Members) -> Tensor:
    """Return `branch_features` as a tensor, (B, n_features) float64."""
    if isinstance(model.branch(name), TfIdf):
        return part.values[:, 0].double()
    present = part.present.any(dim=1, keepdim=True)
    return torch.cat([mean_pool(part.values, part.present), present], dim=1).double()


def empty_vector(model: ScoreModel, name: str) -> Tensor:
    """Return the vector that stands for an absent member of a branch, (width,)."""
    if isinstance(model, Fusion):
        return model.absent[name].detach()
    return torch.zeros(model.branch(name).width)


def with_values(parts: Mapping[str, Members], name: str, values: Tensor) -> dict[str, Members]:
    """Return the parts of one title, repeated for each row of `values` (steps, M, width), which replace one branch."""
    n = len(values)
    repeated = {
        other: Members(part.values.expand(n, -1, -1), part.present.expand(n, -1)) for other, part in parts.items()
    }
    return {**repeated, name: Members(values, repeated[name].present)}


@torch.no_grad()
def vectors_at(model: ScoreModel, row: int) -> dict[str, Members]:
    """Return the vectors of one title of the last look, by branch."""
    return {name: model.branch(name)(torch.tensor([row])) for name in model.branches}


def score_values(read: Readout, parts: Mapping[str, Members], name: str, values: Tensor) -> Tensor:
    """Return the scores of one title whose vectors of one branch are replaced by each of `values` (steps, M, width)."""
    return read(with_values(parts, name, values))
