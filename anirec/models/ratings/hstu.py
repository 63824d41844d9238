"""HSTU: pointwise gated attention on the history of a user in the order of time."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm

from anirec.models.ratings.sequence import RelativeBias, SequenceModel


class HSTU(SequenceModel):
    """Rank what comes next by blocks of causal attention without softmax, each gated by the entry itself.

    The attention weights are silu(query · key + bias), and their sum is not 1. The bias depends on the distance of two
    entries and, with `use_gaps`, on the time between them. This is the small-scale form: one vector per item, and no
    features of users or actions but the preference.

    Args:
        **settings: Arguments of `SequenceModel`.

    References:
        Zhai et al., Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
        Recommendations, ICML 2024, equations 1 to 3.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)

    def block(self) -> nn.Module:
        return GatedBlock(
            self.n_factors,
            self.n_heads,
            self.dropout,
            RelativeBias(self.n_heads, self.max_length, use_gaps=self.use_gaps),
        )


class GatedBlock(nn.Module):
    """Causal attention with weights silu(query · key + bias), gated and added to its input.

    Args:
        width: Length of the vectors.
        n_heads: Number of attention heads, which divides the width.
        dropout: Dropout of what is added; 0 <= dropout < 1.
        bias: Bias of the attention logits.
    """

    def __init__(self, width: int, n_heads: int, dropout: float, bias: RelativeBias) -> None:
        super().__init__()
        self.n_heads, self.dropout, self.bias = n_heads, dropout, bias
        self.projections = nn.Linear(width, 4 * width)
        self.output = nn.Linear(width, width)

    def forward(self, vector: Tensor, gap_btt: Tensor | None) -> Tensor:
        width = vector.shape[-1:]
        gate, *heads = silu(self.projections(layer_norm(vector, width))).chunk(4, dim=-1)
        query, key, value = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in heads)
        bias = self.bias(vector.shape[1], gap_btt)
        logits = query @ key.transpose(-1, -2) + bias.nan_to_num(neginf=0)
        weight = silu(logits).masked_fill(bias.isneginf(), 0) / len(self.bias.distance)
        mixed = layer_norm((weight @ value).transpose(1, 2).flatten(2), width, eps=1e-8)
        return vector + dropout(self.output(mixed * gate), self.dropout, self.training)


def silu(value: Tensor) -> Tensor:
    """Return x / (1 + exp(-x)). The result of torch's `silu` depends on the number of threads, in the last digit."""
    return value * (1 + torch.tanh(value / 2)) / 2
