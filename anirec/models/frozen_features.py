"""What frozen branches see of titles, as sparse rows: the input of models that are solved in closed form."""

from collections.abc import Mapping

import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.features.pooling import mean_pool
from anirec.features.tfidf import TfIdf


def seen(branch: Branch, index: Tensor) -> csr_matrix:
    """(B, n_columns(branch)): a title's row of terms; or the mean of its members, and last whether it has any."""
    if isinstance(branch, TfIdf):
        return branch.matrix(index.cpu().numpy())
    members = branch(index)
    present = members.present.any(dim=1, keepdim=True)
    rows = torch.cat([mean_pool(members.values, members.present), present], dim=1)
    return csr_matrix(rows.double().cpu().numpy())


def n_columns(branch: Branch) -> int:
    return branch.width + (not isinstance(branch, TfIdf))


def check_frozen(branches: Mapping[str, Branch]) -> None:
    """Refuse what a closed form cannot learn from.

    Raises:
        UserError: There is no branch, or one that wants training.
    """
    if not branches:
        raise UserError("model.branches is empty: there must be something to see")
    if trained := [name for name, branch in branches.items() if not branch.frozen]:
        raise UserError(f"model.branches.{trained[0]}: nothing here trains an encoder; set frozen=true")
