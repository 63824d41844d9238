"""Contract of every score model in conf/model; a new YAML is tested without further code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from anirec.data.titles.datamodule import Corpus
from anirec.data.titles.loaders import TitleBatch
from anirec.models.titles.base import ScoreModel

from .reads import record_reads, unread_settings

TASK = "scores"
ANY = "mean"
SMALL = ["dataset.source.n_titles=120", "encoders=tiny"]


def test_titles(data: Corpus) -> TitleBatch:
    return TitleBatch(torch.from_numpy(data.test), torch.from_numpy(data.score[data.test]))


test_titles.__test__ = False  # type: ignore[attr-defined]


def predicted(model: ScoreModel, batch: TitleBatch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch)


def test_predicts_finite_scores_for_all_titles(model: ScoreModel, data: Corpus) -> None:
    scores = predicted(model, test_titles(data))
    assert scores.shape == (len(data.test),)
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()
    assert ((scores > 0) & (scores < 11)).all()


def test_every_setting_of_the_yaml_is_read(model: ScoreModel, data: Corpus) -> None:
    with record_reads(model.reads):
        predicted(model, test_titles(data))
    assert unread_settings(model.reads) == set()


def test_a_checkpoint_restores_the_model_without_running_code(
    loaded: ScoreModel, model: ScoreModel, data: Corpus, cache: Path
) -> None:
    loaded.look(data.titles, cache=cache, device=torch.device("cpu"))
    batch = test_titles(data)
    torch.testing.assert_close(predicted(loaded, batch), predicted(model, batch), rtol=0, atol=0)


def test_the_same_seed_gives_the_same_model(
    name: str, model: ScoreModel, data: Corpus, tmp_path: Path, trained: Callable[..., ScoreModel]
) -> None:
    """Any other seed does, too, if the model declares that it uses none."""
    again = trained(name, data, tmp_path, seed=1 if model.uses_seed else 2)
    batch = test_titles(data)
    torch.testing.assert_close(predicted(again, batch), predicted(model, batch), rtol=0, atol=0)


def test_predicts_new_titles(loaded: ScoreModel, cache: Path) -> None:
    """The synopsis may be missing, and the columns of descriptions and portraits, too."""
    rows = pl.DataFrame({"synopsis": ["A retired detective opens a noodle shop on the moon.", None, "Robots!"]})
    with torch.inference_mode():
        scores, lacking = loaded.predict_rows(rows, cache=cache)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert lacking == {"titles without a synopsis": 1}
