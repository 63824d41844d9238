"""Effects of the tags of one post on its predicted score."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from anirec.data.posts.datamodule import posts_of
from anirec.data.prepare.tag_rows import TagRows
from anirec.errors import UserError
from anirec.inference.explain.run_titles import corpus_of, read_one_row
from anirec.inference.new_titles.reception import number_table
from anirec.inference.predict import load
from anirec.models.posts.base import PostModel
from anirec.models.posts.sklearn import SklearnModel
from anirec.models.posts.tag_pca_ols import TagPcaOls
from anirec.printable import clean

N_TAGS = 30  # on the terminal


@dataclass(frozen=True)
class PostExplanation:
    """Why a post has its predicted score.

    Args:
        score: Predicted score.
        tags: tag and effect, strongest first. If `is_linear`, coefficient times (1 - share of training posts with the
            tag), else the prediction minus that without the tag.
        is_linear: Whether the model is linear in the tags.
        mean: Linear models: the mean prediction of training posts.
        lacking: Linear models: sum of the effects of the tags that the post lacks. Mean, lacking and the effects of
            all tags sum to the score.
    """

    score: float
    tags: pl.DataFrame
    is_linear: bool
    mean: float = float("nan")
    lacking: float = float("nan")


def explain_post(model: PostModel, tags: list[str]) -> PostExplanation:
    """Explain the prediction for a post with some tags.

    Raises:
        UserError: The model knows none of the tags.
    """
    known = [tag for tag in model.tags if tag in set(tags)]
    if not known:
        raise UserError("The post has no tag that the model knows: nothing to explain")
    versions = [known, *([other for other in known if other != tag] for tag in known)]
    scores = predict(model, versions)
    linear = linear_effects(model)
    if linear is None:
        return PostExplanation(float(scores[0]), tag_table(known, scores[0] - scores[1:]), is_linear=False)
    coefficient, share = linear
    is_known = np.isin(model.tags, known)
    effect = coefficient * (is_known - share)
    mean = float(scores[0] - effect.sum())
    table = tag_table([tag for tag, has in zip(model.tags, is_known, strict=True) if has], effect[is_known])
    return PostExplanation(float(scores[0]), table, True, mean, float(effect[~is_known].sum()))


@torch.inference_mode()
def predict(model: PostModel, versions: list[list[str]]) -> NDArray[np.float64]:
    """Return the predicted scores of posts with these tags, (n,)."""
    rows = pl.DataFrame({"tags": versions}, schema={"tags": pl.List(pl.String)})
    return model(posts_of(rows, model.tags)[0]).double().numpy()


def linear_effects(model: PostModel) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the coefficient of each tag and its share of training posts, (n_tags,); None if not linear."""
    if isinstance(model, TagPcaOls):
        return model.coefficient.numpy(), (model.pairs.diagonal() / model.sums[0]).numpy()
    if isinstance(model, SklearnModel):
        model.fit()
        regressor: Any = model.regressor
        if hasattr(regressor, "coef_"):
            coefficient = regressor.coef_
            dense = coefficient.toarray() if hasattr(coefficient, "toarray") else coefficient
            rows = TagRows(model.memory.start.numpy(), model.memory.tag.numpy(), model.n_tags)
            return np.ravel(dense).astype(np.float64), np.bincount(rows.tag, minlength=model.n_tags) / len(rows)
    return None


def tag_table(tags: list[str], effect: NDArray[np.float64]) -> pl.DataFrame:
    table = pl.DataFrame({"tag": tags, "effect": effect})
    return table.sort(pl.col("effect").abs(), "tag", descending=[True, False])


def explain(run: Path, *, item: str | None, input: Path | None, console: Console) -> None:  # noqa: A002 (the option's name)
    """Explain the prediction of a run for one post, on the terminal.

    Raises:
        UserError: The run or the file cannot be read, or the post has no tag that the model knows.
    """
    model: PostModel = load(run)  # type: ignore[assignment]
    if input is not None:
        rows, name = read_one_row(input), str(input)
        try:
            tags = [model.tags[number] for number in posts_of(rows, model.tags)[0].tag.tolist()]
        except UserError as error:
            raise UserError(f"{input}: {error}") from None
    else:
        tags, name = known_tags(run, str(item)), f"Post {item}"
    print_post(explain_post(model, tags), name, console)


def known_tags(run: Path, post: str) -> list[str]:
    """Return the selected tags of a post of the run's data."""
    data = corpus_of(run)
    found = np.flatnonzero((data.posts["post_id"].cast(pl.String) == post).to_numpy())
    if not len(found):
        examples = ", ".join(map(str, data.posts["post_id"].head(3)))
        raise UserError(f"--item {post}: the run has no post with this id; it has, for example, {examples}")
    numbers = data.rows.select(found[:1], data.columns).tag
    return data.tags["tag"].gather(numbers.tolist()).to_list()


def print_post(found: PostExplanation, name: str, console: Console) -> None:
    """Print the effects of a post's tags."""
    console.print(f"{clean(name)}\nPredicted score {found.score:.2f}", markup=False)
    if found.is_linear:
        console.print(f"Mean of the training posts {found.mean:.2f}; tags that it lacks {found.lacking:+.2f}")
    else:
        console.print("Effect of a tag: the prediction minus that for the post without the tag; they need not add up.")
    table = number_table("tag", "effect")
    for tag, effect in found.tags.head(N_TAGS).iter_rows():
        table.add_row(Text(clean(tag)), f"{effect:+.3f}")
    console.print("", table)
    if (rest := found.tags.slice(N_TAGS)).height:
        console.print(f"and {rest.height} more: {rest['effect'].sum():+.3f}")
