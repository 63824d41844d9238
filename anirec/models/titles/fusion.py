"""Fusion network: text and picture encoders whose outputs are concatenated and regressed on the score.

    synopsis ──encoder─────────────────────────────▶ (768,) ─┐
    descriptions ─encoder─▶ (n, 768) ┐                       ├─▶ head ─▶ 0.71 ─▶ 8.2
    portraits ────encoder─▶ (n, 49)  ┴─pool─▶ network ▶ (768,) ─┘

With a single text branch it is the regressor of AL-BERT.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.features.branch import AttentionPool, Branch, Members, mean_pool
from anirec.models.titles.network import Layers, Network, layers
from anirec.models.training import Training
from anirec.settings import Share


class Fusion(Network):
    """Neural network over groups of branches.

    The branches of a group describe the same members, such as the characters of a title. The vectors of each member are
    concatenated, the members are pooled into one vector, and that vector passes through the layers of the group. The
    vectors of all groups are concatenated and pass through the head. A learned vector replaces a modality that a title
    lacks.

    Args:
        branches: Branches by name.
        groups: Names of the branches in each group, by group name; each branch is in one group.
        pooling: Pooling over the members of a group, "mean" or "attention".
        group_layers: Layers of each group, by group name: widths by activation, such as {"tanh": [768], "linear":
            [768]}. A group that is not listed has none.
        head: Layers over all groups, in the same form; a final linear layer of width 1 is added.
        dropout: Dropout before each hidden linear layer; 0 <= dropout < 1.
        training: Optimiser, learning rates and batch size.
        requires: Dataset columns that the model needs.

    Raises:
        UserError: A branch is in no group or in several, or `group_layers` names an unknown group.

    References:
        Armenta-Segura & Sidorov, PeerJ Computer Science 11:e2715, 2025.
    """

    constraints = "anirec.models.constraints:check_fusion"

    def __init__(
        self,
        *,
        branches: Mapping[str, Branch],
        groups: Mapping[str, Sequence[str]],
        pooling: Literal["mean", "attention"],
        group_layers: Mapping[str, Layers],
        head: Layers,
        dropout: Share,
        training: Training,
        requires: Sequence[str],
    ) -> None:
        super().__init__(branches=branches, training=training)
        self.requires = frozenset(requires)  # type: ignore[misc]
        self.groups = {name: list(members) for name, members in groups.items()}
        self.pooling, self.group_layers, self.head_layers, self.dropout = pooling, group_layers, head, dropout

    def allocate(self) -> None:
        self.absent = nn.ParameterDict({name: torch.zeros(self.branch(name).width) for name in self.branches})
        self.pools, self.networks = nn.ModuleDict(), nn.ModuleDict()
        joined = 0
        for name, members in self.groups.items():
            width = sum(self.branch(member).width for member in members)
            self.pools[name] = AttentionPool(width) if self.pooling == "attention" else nn.Identity()
            self.networks[name], width = layers(width, self.group_layers.get(name, {}), dropout=self.dropout)
            joined += width
        self.head, width = layers(joined, self.head_layers, dropout=self.dropout)
        self.head.append(nn.Linear(width, 1))

    def unit(self, index: Tensor) -> Tensor:
        vectors = [self.networks[name](self.pool_group(name, index)) for name in self.groups]
        return self.head(torch.cat(vectors, dim=-1)).squeeze(-1)

    def pool_group(self, group: str, index: Tensor) -> Tensor:
        """Return the pooled vector of a group's members, (B, width)."""
        parts = [self.branch(name)(index) for name in self.groups[group]]
        counts = {part.values.shape[1] for part in parts}
        if len(counts) > 1:
            raise UserError(
                f"model.groups.{group}: its branches have different numbers of members per title, {sorted(counts)}; "
                "put them in separate groups"
            )
        filled = [self.fill_absent(name, part) for name, part in zip(self.groups[group], parts, strict=True)]
        values, present = torch.cat(filled, dim=-1), torch.stack([part.present for part in parts]).any(dim=0)
        # A title without any member is represented by the learned vector for absence.
        present[:, 0] |= ~present.any(dim=1)
        pool: Any = self.pools[group] if self.pooling == "attention" else mean_pool
        return pool(values, present)

    def fill_absent(self, name: str, part: Members) -> Tensor:
        return torch.where(part.present[..., None], part.values, self.absent[name].to(part.values.dtype))
