"""Contract of every model of posts in conf/model; a new YAML is tested without further code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from anirec.data.posts.datamodule import PostBatch, Posts
from anirec.models.posts.base import PostModel

from .reads import record_reads, unread_settings

TASK = "posts"
ANY = "tag_mean"
SMALL = [
    *("dataset.source.n_posts=4000", "dataset.source.n_tags=80", "dataset.source.n_groups=3"),
    *("dataset.sampling.zeros=1000", "dataset.tags.min_posts=40"),
]
# Overrides for the models that have these keys.
SHRUNK = {
    "model.components": 20,
    "model.regressor.max_iter": 20,
    "model.regressor.min_samples_split": 100,
    "model.regressor.min_samples_leaf": 50,
}


def test_posts(data: Posts) -> PostBatch:
    [batch] = data.test_dataloader()
    return batch


test_posts.__test__ = False  # type: ignore[attr-defined]


def predicted(model: PostModel, batch: PostBatch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch)


def test_every_setting_of_the_yaml_is_read(model: PostModel, data: Posts) -> None:
    with record_reads(model.reads):
        predicted(model, test_posts(data))
    assert unread_settings(model.reads) == set()


def test_predicts_finite_scores_for_all_posts(model: PostModel, data: Posts) -> None:
    scores = predicted(model, test_posts(data))
    assert scores.shape == (len(data.population),)
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()
    low, high = data.score[data.train].min(), data.score[data.train].max()
    assert ((scores > low - 1) & (scores < high + 1)).all()


def test_a_checkpoint_restores_the_model_without_running_code(loaded: PostModel, model: PostModel, data: Posts) -> None:
    batch = test_posts(data)
    torch.testing.assert_close(predicted(loaded, batch), predicted(model, batch), rtol=0, atol=0)


def test_the_same_seed_gives_the_same_model(
    name: str, model: PostModel, data: Posts, tmp_path: Path, trained: Callable[..., PostModel]
) -> None:
    """Any other seed does, too, if the model declares that it uses none."""
    again = trained(name, data, tmp_path, seed=1 if model.uses_seed else 2)
    batch = test_posts(data)
    torch.testing.assert_close(predicted(again, batch), predicted(model, batch), rtol=0, atol=0)


@pytest.mark.parametrize("as_text", [True, False])
def test_new_rows_with_the_tags_of_a_post_get_its_prediction(
    loaded: PostModel, data: Posts, cache: Path, as_text: bool
) -> None:
    batch = test_posts(data)
    number = batch.tag.tolist()
    named = [
        [loaded.tags[place] for place in number[first:last]]
        for first, last in zip(batch.start[:-1].tolist(), batch.start[1:].tolist(), strict=True)
    ]
    rows = pl.DataFrame({"tags": [" ".join(tags) for tags in named] if as_text else named})
    with torch.inference_mode():
        scores, lacking = loaded.predict_rows(rows, cache=cache)
    np.testing.assert_allclose(scores, predicted(loaded, batch), atol=1e-5)
    assert lacking == {"posts without a known tag": named.count([])}


def test_predicts_new_posts(loaded: PostModel, cache: Path) -> None:
    """Tags may be in any order, repeated, unknown or missing."""
    rows = pl.DataFrame({"tags": ["solo 1girl", "1girl  unheard_of solo solo", "unheard_of", "", None]})
    with torch.inference_mode():
        scores, lacking = loaded.predict_rows(rows, cache=cache)
    assert scores.shape == (5,)
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]
    assert scores[2] == scores[3] == scores[4]
    assert lacking == {"posts without a known tag": 3}
