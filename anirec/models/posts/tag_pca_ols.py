"""Principal components of tags and least squares on them, in one pass over sparse rows.

Both need the posts' tags only as a matrix of how often two tags stand together: memory tags², whatever the number of
posts, and the same numbers as from the dense matrix of posts.
Source: A. Lamson, Predicting User Ratings for Anime-Style Images (Safebooru), section 3.
"""

from typing import TYPE_CHECKING

import polars as pl
import torch
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.posts.datamodule import PostBatch
from anirec.data.posts.tags import add_pairs, whole
from anirec.errors import UserError
from anirec.models.one_pass import OnePass
from anirec.models.posts.base import PostModel
from anirec.settings import PositiveInt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.95  # of the intervals of all tags together
NAMED = 3  # tags that stand for a component


class TagPcaOls(OnePass, PostModel):
    """Least squares on the components of the tags that vary most.

    The regression on components is one on tags whose coefficients lie in the components' span: `coefficient`, in points
    a tag, with `error`, its standard error if all posts scatter alike.

    Args:
        components: How many; at most as many as there are tags.
    """

    pairs: Tensor
    products: Tensor
    sums: Tensor
    coefficient: Tensor
    error: Tensor
    intercept: Tensor
    direction: Tensor
    share: Tensor

    def __init__(self, *, components: PositiveInt) -> None:
        super().__init__()
        self.components = components

    def allocate(self) -> None:
        if self.components > self.n_tags:
            raise UserError(
                f"model.components={self.components}: there are {self.n_tags} tags only. "
                "Lower it, or let in more tags: dataset.tags.min_posts, dataset.tags.top."
            )
        self.statistic("pairs", self.n_tags, self.n_tags)
        self.statistic("products", self.n_tags)
        self.statistic("sums", 3)  # posts, scores, squared scores
        sizes = {"coefficient": (self.n_tags,), "error": (self.n_tags,), "intercept": (), "share": (self.components,)}
        for name, shape in {**sizes, "direction": (self.components, self.n_tags)}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def accumulate(self, batch: PostBatch) -> None:
        score = batch.score.double()
        add_pairs(self.pairs, batch.start, batch.tag)
        self.products.index_add_(0, batch.tag, torch.repeat_interleave(score, batch.start.diff()))
        self.sums += torch.stack([torch.ones_like(score), score, score**2]).sum(1)

    def solve(self) -> None:
        n, total, squares = self.sums
        mean, score = self.pairs.diagonal() / n, total / n
        covariance = whole(self.pairs) / n - mean.outer(mean)
        variance, vectors = torch.linalg.eigh(covariance)
        variance, vectors = variance.flip(0)[: self.components], vectors.flip(1)[:, : self.components]
        # What hardly varies tells nothing: tags that always stand together leave such directions.
        varies = variance > torch.finfo(variance.dtype).eps * len(mean) * variance[0]
        inverse = torch.where(varies, 1 / variance, 0)
        slope = inverse * (vectors.T @ (self.products / n - score * mean))
        residual = (squares / n - score**2 - (slope**2 * variance).sum()).clamp_min(0)
        self.coefficient = vectors @ slope
        self.intercept = score - mean @ self.coefficient
        freedom = (n - varies.sum() - 1).clamp_min(1)
        self.error = (residual / freedom * (vectors**2 @ inverse)).sqrt()
        self.direction, self.share = vectors.T.contiguous(), variance / covariance.trace()

    def forward(self, batch: PostBatch) -> Tensor:
        tags = embedding_bag(
            batch.tag.long(), self.coefficient[:, None], batch.start, mode="sum", include_last_offset=True
        )
        return (tags[:, 0] + self.intercept).float()

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`effects` of every tag, with intervals that hold for all tags together; `components`, with their tags."""
        half = norm.isf((1 - LEVEL) / 2 / self.n_tags) * self.error  # Bonferroni: the strongest of many are looked at
        effects = {"effect": self.coefficient, "low": self.coefficient - half, "high": self.coefficient + half}
        columns = {name: pl.Series(values.cpu().numpy()) for name, values in effects.items()}
        strongest = self.direction.abs().topk(min(NAMED, self.n_tags), dim=1).indices.tolist()
        named = [[self.signed(component, tag) for tag in tags] for component, tags in enumerate(strongest)]
        components = {"component": range(1, len(named) + 1), "share": self.share.cpu().numpy(), "tags": named}
        return {"effects": pl.DataFrame({"tag": self.tags, **columns}), "components": pl.DataFrame(components)}

    def signed(self, component: int, tag: int) -> str:
        return ("+" if self.direction[component, tag] > 0 else "-") + self.tags[tag]

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.figures.posts import draw_explained_variance, draw_tag_effects

        tables = self.tables
        return {
            "explained_variance": draw_explained_variance(tables["components"]),
            "tag_effects": draw_tag_effects(tables["effects"]),
        }

    @property
    def findings(self) -> list[str]:
        return [
            f"{self.components} components hold {float(self.share.sum()):.1%} of the variance of {self.n_tags:,} tags.",
            f"The {LEVEL:.0%} intervals of effects hold for all {self.n_tags:,} tags together.",
        ]
