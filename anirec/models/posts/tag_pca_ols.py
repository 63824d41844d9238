"""Principal component regression on tags, in one pass over sparse rows.

Both steps need only the co-occurrence counts of the tags. Memory therefore grows with the square of the number of tags,
not with the number of posts, and the result equals that of the dense matrix of posts, up to rounding.
"""

from typing import TYPE_CHECKING, ClassVar

import polars as pl
import torch
from scipy.special import ndtri
from torch import Tensor
from torch.nn.functional import embedding_bag

from anirec.data.posts.datamodule import PostBatch
from anirec.data.posts.tags import add_pairs, symmetrise
from anirec.errors import UserError
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import OnePass
from anirec.models.posts.base import PostModel
from anirec.settings import PositiveInt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COPIES = 5  # of the matrix of tags while its eigenvectors are computed
LEVEL = 0.95  # simultaneous coverage of the intervals of all tags
TAGS_PER_COMPONENT = 3  # tags with the largest weights, which describe a component


class TagPcaOls(OnePass, PostModel):
    """Ordinary least squares on the leading principal components of the tags.

    A regression on components is a regression on tags whose coefficients lie in the span of the components. The buffer
    `coefficient` holds the effect of each tag in points of score, `error` its standard error under equal variance of
    all posts, and `share` the fraction of the variance of the tags explained by each component.

    Args:
        components: Number of components; 1 to the number of tags.

    Raises:
        UserError: There are fewer tags than components.

    References:
        A. Lamson, Predicting User Ratings for Anime-Style Images (Safebooru), section 3.
    """

    uses_seed: ClassVar[bool] = False
    operations_per_second: ClassVar[float] = 1e10
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

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: matrices of tags x tags, and the eigenvectors of one of them."""
        square = 8 * counts.n_tags**2
        return super().cost(counts) + Cost(COPIES * square, square, 10 * counts.n_tags**3)

    def allocate(self) -> None:
        if self.components > self.n_tags:
            raise UserError(
                f"model.components={self.components}: there are only {self.n_tags} tags. Lower it, "
                "or keep more tags by lowering dataset.tags.min_posts or raising dataset.tags.top."
            )
        self.add_statistic("pairs", self.n_tags, self.n_tags)
        self.add_statistic("products", self.n_tags)
        self.add_statistic("sums", 3)  # number of posts, sum of scores, sum of squared scores
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
        covariance = symmetrise(self.pairs) / n - mean.outer(mean)
        variance, vectors = torch.linalg.eigh(covariance)
        variance, vectors = variance.flip(0)[: self.components], vectors.flip(1)[:, : self.components]
        # Tags that always occur together leave directions without variance, whose slope is set to 0.
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
        """`effects`, of every tag with a simultaneous interval; `components`, each with its strongest tags."""
        half = -ndtri((1 - LEVEL) / 2 / self.n_tags) * self.error  # Bonferroni: readers look at the strongest tags
        effects = {"effect": self.coefficient, "low": self.coefficient - half, "high": self.coefficient + half}
        columns = {name: pl.Series(values.cpu().numpy()) for name, values in effects.items()}
        strongest = self.direction.abs().topk(min(TAGS_PER_COMPONENT, self.n_tags), dim=1).indices.tolist()
        tags_of_component = [
            [self.signed_tag(component, tag) for tag in tags] for component, tags in enumerate(strongest)
        ]
        components = {
            "component": range(1, len(tags_of_component) + 1),
            "share": self.share.cpu().numpy(),
            "tags": tags_of_component,
        }
        return {"effects": pl.DataFrame({"tag": self.tags, **columns}), "components": pl.DataFrame(components)}

    def signed_tag(self, component: int, tag: int) -> str:
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
            f"{self.components} components explain {float(self.share.sum()):.1%} of the variance of "
            f"{self.n_tags:,} tags.",
            f"The {LEVEL:.0%} intervals of the tag effects hold jointly for all {self.n_tags:,} tags (Bonferroni).",
        ]
