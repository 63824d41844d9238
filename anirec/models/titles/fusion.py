"""Fusion: text and picture encoders side by side, joined by a network that ends in one number.

    synopsis ──encoder─────────────────────────────▶ (768,) ─┐
    descriptions ─encoder─▶ (n, 768) ┐                       ├─▶ head ─▶ 0.71 ─▶ 8.2
    portraits ────encoder─▶ (n, 49)  ┴─pool─▶ network ▶ (768,) ─┘

Source: Armenta-Segura & Sidorov, PeerJ CS 11:e2715, 2025; with one text branch alone it is the regressor of AL-BERT.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.features.branch import Branch, Members
from anirec.features.pooling import AttentionPool, mean_pool
from anirec.models.titles.network import Layers, Network, layers
from anirec.models.training import Training
from anirec.settings import Share


class Fusion(Network):
    """A network over groups of branches.

    The branches of a group describe the same things, such as a title's characters: member by member they are joined end
    to end, the members pooled into one vector, and that goes through the group's own layers. The groups' vectors, end
    to end, go through the head. In place of a modality that a title lacks stands a vector that is learned.

    Args:
        branches: By name.
        groups: Which branches belong together, by the group's name.
        pooling: Of the members of a group.
        group_layers: Of a group, by its name: widths by activation, {"tanh": [768], "linear": [768]}; none if absent.
        head: Layers over all groups; the last one, of width 1, is added.
        dropout: Before each linear layer; 0 <= dropout < 1.
        training: Optimiser, rates, batches.
        requires: Columns without which the model makes no sense.
    """

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
        grouped = sorted(name for members in self.groups.values() for name in members)
        if grouped != sorted(branches) or not branches:
            raise UserError(
                f"model.groups holds {', '.join(grouped) or 'nothing'}; "
                f"expected each branch once: {', '.join(branches) or 'at least one'}"
            )
        if unknown := sorted(set(group_layers) - set(groups)):
            raise UserError(f"model.group_layers names {', '.join(unknown)}; the groups are {', '.join(groups)}")

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
        vectors = [self.networks[name](self.pooled(name, index)) for name in self.groups]
        return self.head(torch.cat(vectors, dim=-1)).squeeze(-1)

    def pooled(self, group: str, index: Tensor) -> Tensor:
        """(B, width): a group's members as one vector."""
        parts = [self.branch(name)(index) for name in self.groups[group]]
        counts = {part.values.shape[1] for part in parts}
        if len(counts) > 1:
            raise UserError(f"model.groups.{group}: its branches count other members: {sorted(counts)}; part them")
        filled = [self.filled(name, part) for name, part in zip(self.groups[group], parts, strict=True)]
        values, present = torch.cat(filled, dim=-1), torch.stack([part.present for part in parts]).any(dim=0)
        # Where nothing at all is known, what is learned for absence speaks.
        present[:, 0] |= ~present.any(dim=1)
        pool: Any = self.pools[group] if self.pooling == "attention" else mean_pool
        return pool(values, present)

    def filled(self, name: str, part: Members) -> Tensor:
        return torch.where(part.present[..., None], part.values, self.absent[name].to(part.values.dtype))
