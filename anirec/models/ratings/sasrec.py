"""SASRec: self-attention on the history of a user in the order of time."""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm, scaled_dot_product_attention

from anirec.models.ratings.sequence import RelativeBias, SequenceModel


class SASRec(SequenceModel):
    """Rank what comes next by blocks of causal softmax attention and a position-wise network.

    Beside the published model, the attention logits of two entries have a bias by their distance, which each head
    learns: "the entry before this one" is then the same for all positions.

    Args:
        **settings: Arguments of `SequenceModel`.

    References:
        Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018; here with normalisation before each part.
        The bias is that of Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text
        Transformer, JMLR 2020, section 2.1, without classes of distances.
    """

    version: ClassVar[int] = 1  # 1: the bias by distance

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)

    def block(self) -> nn.Module:
        return AttentionBlock(
            self.n_factors,
            self.n_heads,
            self.dropout,
            RelativeBias(self.n_heads, self.max_length, use_gaps=self.use_gaps),
        )


class AttentionBlock(nn.Module):
    """Causal softmax attention, then a network of one hidden layer for each position; both add to their input.

    Args:
        width: Length of the vectors.
        n_heads: Number of attention heads, which divides the width.
        dropout: Dropout of what is added; 0 <= dropout < 1.
        bias: Bias of the attention logits.
    """

    def __init__(self, width: int, n_heads: int, dropout: float, bias: RelativeBias) -> None:
        super().__init__()
        self.n_heads, self.dropout, self.bias = n_heads, dropout, bias
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, vector: Tensor, gap_btt: Tensor | None) -> Tensor:
        width = vector.shape[-1:]
        heads = self.projections(layer_norm(vector, width)).unflatten(-1, (3, self.n_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width / heads)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=self.bias(vector.shape[1], gap_btt))
        vector = vector + dropout(self.output(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        return vector + dropout(self.network(layer_norm(vector, width)), self.dropout, self.training)
