"""Mult-VAE: a variational autoencoder with a multinomial likelihood, for ranking."""

from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, linear, log_softmax

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.ratings.autoencoder import Autoencoder
from anirec.settings import NonNegative, PositiveInt, Share


class MultVAE(Autoencoder):
    """Rank items by the logits that a variational autoencoder decodes from a user's history.

    An encoder with one hidden layer maps the history, scaled to length 1, to mean and variance of a normal distribution
    of the latent vector; a decoder with one hidden layer maps the latent vector to logits of all items. Training
    samples the latent vector and hides a share of the history; a ranking uses the mean. The loss of a user is
    -Σ_i x_ui log softmax_i + beta · KL(latent distribution, standard normal), where x_ui is the preference, 0 for
    dislikes, which count in the input only. Its KL weight rises linearly from 0.

    Args:
        n_hidden: Width of both hidden layers; >= 1.
        n_factors: Length of the latent vector; >= 1.
        dropout: Share of the history that is hidden in training; 0 <= dropout < 1.
        beta: Final weight of the KL divergence; >= 0. 1 is the evidence lower bound.
        anneal: Share of the training steps in which the weight rises; 0 to 1.
        **settings: Arguments of `Autoencoder`.

    References:
        Liang, Krishnan, Hoffman & Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018.
    """

    def __init__(
        self,
        *,
        n_hidden: PositiveInt,
        n_factors: PositiveInt,
        dropout: Share,
        beta: NonNegative,
        anneal: Annotated[float, Interval(ge=0, le=1)],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.n_hidden, self.n_factors = n_hidden, n_factors
        self.dropout, self.beta, self.anneal = dropout, beta, anneal

    def allocate(self) -> None:
        super().allocate()
        self.input_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(self.n_items, self.n_hidden)))
        self.input_offset = nn.Parameter(torch.zeros(self.n_hidden))
        self.latent = nn.Linear(self.n_hidden, 2 * self.n_factors)
        self.decoder = nn.Linear(self.n_factors, self.n_hidden)
        self.output_weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(self.n_items, self.n_hidden)))
        self.output_offset = nn.Parameter(torch.zeros(self.n_items))

    def reconstruct(self, rows: RatingBatch, bounds: Tensor, preference: Tensor) -> Tensor:
        return self.decode(self.encode(rows, bounds, preference)[0])

    def encode(self, rows: RatingBatch, bounds: Tensor, preference: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the latent vectors, each (n, n_factors)."""
        square_b = preference.new_zeros(len(bounds) - 1).index_add(0, rows.user, preference.square())
        entry = dropout(preference / square_b.sqrt()[rows.user], self.dropout, self.training)
        hidden_bh = embedding_bag(rows.item, self.input_weight, bounds[:-1], mode="sum", per_sample_weights=entry)
        mean_bf, log_variance_bf = self.latent(torch.tanh(hidden_bh + self.input_offset)).chunk(2, dim=1)
        return mean_bf, log_variance_bf

    def decode(self, latent_bf: Tensor) -> Tensor:
        return linear(torch.tanh(self.decoder(latent_bf)), self.output_weight, self.output_offset)

    def loss(self, rows: RatingBatch, bounds: Tensor, preference: Tensor, preference_bi: Tensor) -> Tensor:
        mean_bf, log_variance_bf = self.encode(rows, bounds, preference)
        sampled_bf = mean_bf + (log_variance_bf / 2).exp() * torch.randn_like(mean_bf)
        divergence_b = (mean_bf.square() + log_variance_bf.exp() - 1 - log_variance_bf).sum(1) / 2
        likelihood_b = (preference_bi.clamp(min=0) * log_softmax(self.decode(sampled_bf), dim=1)).sum(1)
        return (self.kl_weight() * divergence_b - likelihood_b).mean()

    def kl_weight(self) -> float:
        rise = self.anneal * self.trainer.estimated_stepping_batches
        return self.beta * min(1.0, self.global_step / rise if rise else 1.0)
