"""Adapter for scikit-learn regressors on the tags of posts; the regressor is named in YAML."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from sklearn.base import RegressorMixin
from sklearn.utils import get_tags
from torch import Tensor, nn

from anirec.data.posts.datamodule import PostBatch
from anirec.data.prepare.tag_rows import TagRows
from anirec.distributed import gather_rows
from anirec.errors import UserError
from anirec.memory import available_memory, format_size
from anirec.models.cost import Cost, Counts
from anirec.models.one_pass import OnePass
from anirec.models.posts.base import PostModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSE_SHARE = 0.5  # of the free memory that a dense matrix may take, since estimators copy it


class SklearnModel(OnePass, PostModel):
    """Fit a scikit-learn regressor to a matrix of posts x tags, 1 where the post has the tag.

    The matrix is sparse if the estimator accepts sparse input, else dense. The checkpoint holds the training posts and
    the seed but no pickled object; a loaded model is fitted again before its first prediction. A run reports the
    coefficients of a linear estimator and the nodes of a decision tree as a table and a figure.

    Args:
        regressor: An unfitted scikit-learn regressor or pipeline. Every `random_state` in it that is None is set to the
            run's seed.

    Raises:
        UserError: scikit-learn rejects a parameter or the data, or a dense matrix does not fit in memory.
    """

    replicates: ClassVar[frozenset[str]] = frozenset({"random_state"})
    constraints = "anirec.models.constraints:check_regressor"
    seed: Tensor

    def __init__(self, *, regressor: RegressorMixin) -> None:
        super().__init__()
        self.regressor: Any = regressor
        self.unseeded = [
            name
            for name, value in self.regressor.get_params().items()
            if name.endswith("random_state") and value is None
        ]
        self.fitted_to: tuple[Tensor, ...] | None = None

    def cost(self, counts: Counts) -> Cost:
        """Return what training needs: the posts, and a dense matrix if the regressor needs one."""
        is_sparse = get_tags(self.regressor).input_tags.sparse
        dense = 0 if is_sparse else 8 * counts.n_rows * counts.n_tags / DENSE_SHARE
        return super().cost(counts) + Cost(memory=dense, operations=counts.n_rows * counts.n_tags)

    def allocate(self) -> None:
        self.memory = TrainingPosts()
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: A post has a tag number that does not exist; compiled code would write outside its arrays.
        """
        super().on_load_checkpoint(checkpoint)
        start, tag = (checkpoint["state_dict"][f"memory.{name}"].cpu().numpy() for name in ("start", "tag"))
        TagRows(start, tag, self.n_tags).matrix().check_format()

    def on_train_epoch_start(self) -> None:
        self.memory.clear()

    def accumulate(self, batch: PostBatch) -> None:
        self.memory.append(batch)

    def reduce(self) -> None:
        self.memory.close(self.trainer.world_size)

    def solve(self) -> None:
        self.seed.fill_(torch.initial_seed() % 2**32)
        self.fit()

    def fit(self) -> None:
        """Fit the regressor, unless it has already been fitted to the same posts."""
        memory = self.memory
        if self.fitted_to and all(map(torch.equal, self.fitted_to, memory.buffers())):
            return
        self.regressor.set_params(**dict.fromkeys(self.unseeded, int(self.seed)))
        rows = TagRows(memory.start.cpu().numpy(), memory.tag.cpu().numpy(), self.n_tags)
        try:
            self.regressor.fit(self.matrix(rows), memory.score.double().cpu().numpy())
        except ValueError as error:
            raise UserError(f"model.regressor: {error}") from error
        self.fitted_to = tuple(buffer.clone() for buffer in memory.buffers())

    def matrix(self, rows: TagRows) -> csr_array | NDArray[np.float64]:
        """Return the posts as a sparse matrix if the regressor accepts one, else as a dense one.

        Raises:
            UserError: The regressor needs a dense matrix that does not fit in memory.
        """
        if get_tags(self.regressor).input_tags.sparse:
            return rows.matrix()
        needed, free = 8 * len(rows) * self.n_tags, available_memory()
        if needed > DENSE_SHARE * free:
            raise UserError(
                f"{type(self.regressor).__name__} does not accept a sparse matrix; a dense one of {len(rows):,} posts "
                f"x {self.n_tags:,} tags needs {format_size(needed)}, but {format_size(free)} are free. Lower "
                "dataset.tags.top, or put sklearn.decomposition.TruncatedSVD before it in a sklearn.pipeline.Pipeline."
            )
        return rows.matrix().toarray()

    def forward(self, batch: PostBatch) -> Tensor:
        self.fit()
        rows = TagRows(batch.start.cpu().numpy(), batch.tag.cpu().numpy(), self.n_tags)
        scores = self.regressor.predict(self.matrix(rows))
        return torch.from_numpy(np.asarray(scores, dtype=np.float32)).to(batch.start.device)

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """`effects`, the coefficient of every tag, for a linear estimator; `tree`, the nodes, for a decision tree."""
        if hasattr(self.regressor, "tree_"):
            return {"tree": tree_table(self.regressor.tree_, self.tags)}
        if not hasattr(self.regressor, "coef_"):
            return {}
        coefficient = self.regressor.coef_
        dense = coefficient.toarray() if issparse(coefficient) else coefficient
        effect = pl.Series("effect", np.ravel(dense), dtype=pl.Float64)
        unknown = pl.lit(None, pl.Float64)
        return {"effects": pl.DataFrame({"tag": self.tags, "effect": effect}).with_columns(low=unknown, high=unknown)}

    @property
    def figures(self) -> dict[str, "Figure"]:
        from anirec.figures.posts import draw_tag_effects
        from anirec.figures.tree import draw_tree

        draw = {"effects": ("tag_effects", draw_tag_effects), "tree": ("tree", draw_tree)}
        return {draw[name][0]: draw[name][1](table) for name, table in self.tables.items()}


class TrainingPosts(nn.Module):
    """All training posts as compressed sparse rows (see `TagRows`), in buffers that are saved in the checkpoint."""

    start: Tensor
    tag: Tensor
    score: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.clear()
        self.register_buffer("start", torch.empty(0, dtype=torch.int64))
        self.register_buffer("tag", torch.empty(0, dtype=torch.int32))
        self.register_buffer("score", torch.empty(0))

    def clear(self) -> None:
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def append(self, batch: PostBatch) -> None:
        self.parts.append((batch.start.diff(), batch.tag, batch.score))

    def close(self, world_size: int) -> None:
        """Gather the posts of all processes."""
        length, tag, score = (torch.cat(column) for column in zip(*self.parts, strict=True))
        self.clear()
        if world_size > 1:
            length, tag, score = (gather_rows(column, world_size) for column in (length, tag, score))
        self.start = torch.cat([length.new_zeros(1), length.cumsum(0)])
        self.tag, self.score = tag, score


def tree_table(tree: Any, tags: list[str]) -> pl.DataFrame:
    """Return the nodes of a fitted tree on tags as a table.

    Posts without the tag go to node `left`, posts with it to node `right`; all three are null for a leaf. `mean` is the
    node's prediction and `sd` the root of its impurity: with criterion "squared_error", the mean and the standard
    deviation of the scores of its `n` posts.
    """
    is_leaf = tree.children_left < 0
    table = pl.DataFrame(
        {
            "node": np.arange(tree.node_count),
            "left": tree.children_left.astype(np.int64),
            "right": tree.children_right.astype(np.int64),
            "tag": [tags[max(feature, 0)] for feature in tree.feature],
            "n": tree.n_node_samples.astype(np.int64),
            "mean": tree.value[:, 0, 0],
            "sd": np.sqrt(tree.impurity.clip(0)),
        }
    )
    is_split = pl.lit(pl.Series(~is_leaf))
    return table.with_columns(pl.when(is_split).then(pl.col("left", "right", "tag")))
