"""Score models: closed forms against scikit-learn, and how networks treat characters and missing modalities."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics.pairwise import rbf_kernel

from anirec.config.compose import conf_folder
from anirec.data.titles.loaders import TitleBatch
from anirec.errors import UserError
from anirec.features.tabular import Counts
from anirec.features.tfidf import TfIdf
from anirec.models.branched import branch_features
from anirec.models.titles.base import ClosedForm
from anirec.models.titles.fusion import Fusion
from anirec.models.titles.kernel_ridge import KERNELS, KernelRidge
from anirec.models.titles.ridge import Ridge, rms_length

WORDS = [
    "robot",
    "dream",
    "school",
    "war",
    "quiet",
    "love",
    "sword",
    "idol",
    "detective",
    "rain",
    "sea",
    "music",
    "ghost",
    "train",
]


def titles(n: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "synopsis": [" ".join(random.choice(WORDS, random.integers(4, 30))) for _ in range(n)],
            "score": random.normal(7, 1, n).clip(1, 10).astype(np.float32),
            "n_main_characters": random.integers(1, 5, n).astype(np.int32),
        }
    )


TRAIN, NEW = titles(150, 0), titles(40, 1)


def tfidf() -> TfIdf:
    return TfIdf(
        columns=["synopsis"],
        ngrams=[1, 2],
        analyzer="word",
        min_df=2,
        max_features=None,
        sublinear=True,
        punctuation=False,
    )


def counts() -> Counts:
    return Counts(columns=["synopsis_words", "n_main_characters"])


def learned(model: ClosedForm, cache: Path) -> Any:
    """Fit a closed-form model and return its predictions for new titles."""
    model.fit(TRAIN)
    model.look(TRAIN, cache=cache, device=torch.device("cpu"))
    model.configure_model()
    model.learn(TitleBatch(torch.arange(len(TRAIN)), torch.from_numpy(TRAIN["score"].to_numpy(writable=True))))
    model.look(NEW, cache=cache, device=torch.device("cpu"))
    return model(TitleBatch(torch.arange(len(NEW)), torch.full((len(NEW),), float("nan")))).numpy()


def rows(branch: Any, table: pl.DataFrame, cache: Path) -> Any:
    branch.look(table, cache=cache, device=torch.device("cpu"))
    return branch_features(branch, torch.arange(len(table)))


def test_ridge_matches_scikit_learn(cache: Path) -> None:
    model = Ridge(branches={"words": tfidf(), "counts": counts()}, alpha=0.7, weights={"counts": 0.5})
    found = learned(model, cache)
    scale = model.scale.numpy()
    parts = [hstack([rows(model.branch(name), table, cache) for name in model.weights]) for table in (TRAIN, NEW)]
    known, new = (np.asarray(part.todense()) * scale for part in parts)
    expected = SklearnRidge(alpha=0.7, solver="cholesky").fit(known, TRAIN["score"]).predict(new)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    blocks = np.split(known - known.mean(0), [model.branch("words").width], axis=1)
    assert [np.sqrt((block**2).sum(1).mean()) for block in blocks] == pytest.approx([1.0, 0.5])


def test_kernel_ridge_matches_scikit_learn(cache: Path) -> None:
    model = KernelRidge(
        branches={"words": tfidf(), "counts": counts()},
        kernels={"words": "linear", "counts": "rbf"},
        weights={"words": 1.0, "counts": 0.3},
        alpha=0.5,
    )
    found = learned(model, cache)
    words, numbers = ([rows(model.branch(n), t, cache).toarray() for t in (TRAIN, NEW)] for n in model.weights)
    centre, scale = numbers[0].mean(0), np.where(numbers[0].std(0) > 0, numbers[0].std(0), 1)
    numbers = [(part - centre) / scale for part in numbers]
    gamma = 1 / numbers[0].shape[1]
    words = [part / np.sqrt((words[0] ** 2).sum(1).mean()) for part in words]
    kernels = [w @ words[0].T + 0.3 * rbf_kernel(c, numbers[0], gamma) for w, c in zip(words, numbers, strict=True)]
    score = TRAIN["score"].to_numpy().astype(np.float64)
    reference = SklearnKernelRidge(alpha=0.5, kernel="precomputed").fit(kernels[0], score - score.mean())
    np.testing.assert_allclose(found, reference.predict(kernels[1]) + score.mean(), atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_training_kernel_matrix_has_mean_diagonal_1(kernel: str, scale: float) -> None:
    counts = csr_matrix(scale * np.random.default_rng(0).poisson(1.5, size=(40, 6)))
    assert KERNELS[kernel]().fit(counts).diagonal().mean() == pytest.approx(1)


def test_kernel_ridge_does_not_depend_on_the_unit_of_a_branch() -> None:
    """Weights and alpha mean the same for features in days and in seconds."""
    random = np.random.default_rng(0)
    rows, new = random.poisson(1.5, size=(40, 6)), random.poisson(1.5, size=(5, 6))
    predictions = []
    for scale in (1.0, 86_400.0):
        kernel = KERNELS["linear"]()
        gram = kernel.fit(csr_matrix(scale * rows))
        kernel.set_dual(np.linalg.solve(gram + 0.5 * np.eye(40), rows[:, 0] - rows[:, 0].mean()))
        predictions.append(kernel(csr_matrix(scale * new)))
    np.testing.assert_allclose(*predictions)


def test_a_branch_without_variance_in_training_has_no_effect(cache: Path) -> None:
    same = TRAIN.with_columns(synopsis=pl.lit("a brave knight"))
    branch = counts()
    branch.fit(same)
    branch.look(NEW, cache=cache, device=torch.device("cpu"))
    assert np.abs(branch.values).max() < 10
    kernel = KERNELS["rbf"]()
    kernel.fit(csr_matrix(np.full((50, 1), 0.1)))
    assert kernel.scale.tolist() == [1.0]
    block = csr_matrix(np.full((50, 3), 0.1))
    assert rms_length(block) == 1.0


def test_settings_for_unknown_branches_are_refused() -> None:
    with pytest.raises(UserError, match=r"weights: names word; the branches are words"):
        Ridge(branches={"words": tfidf()}, alpha=1.0, weights={"word": 2.0})
    with pytest.raises(UserError, match=r"kernels: names words; expected one for each of words, counts"):
        KernelRidge(branches={"words": tfidf(), "counts": counts()}, kernels={"words": "linear"}, weights={}, alpha=1.0)
    with pytest.raises(UserError, match=r"branches=\{\}: the model needs at least one"):
        Ridge(branches={}, alpha=1.0, weights=None)


def corpus(n: int, seed: int) -> pl.DataFrame:
    """Return titles with one to three characters, some without a description, all without a portrait."""
    random = np.random.default_rng(seed)
    cast = [
        [random.choice(["brave knight", "shy ghost", None]) for _ in range(random.integers(1, 4))] for _ in range(n)
    ]
    return titles(n, seed).with_columns(
        descriptions=pl.Series(cast, dtype=pl.List(pl.String)),
        portraits=pl.Series([[None] * len(row) for row in cast], dtype=pl.List(pl.String)),
    )


def made(name: str, *overrides: str) -> Any:
    """Return an untrained model of conf/model with tiny encoders, its branches fitted to 60 titles."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"model={name}", "encoders=tiny", *overrides])
    torch.manual_seed(0)
    model = instantiate(config.model, _convert_="all")
    model.fit(corpus(60, 0))
    model.configure_model()
    return model.eval()


def predicted(model: Any, table: pl.DataFrame, cache: Path) -> NDArray[np.float32]:
    model.look(table, cache=cache, device=torch.device("cpu"))
    with torch.no_grad():
        return model(TitleBatch(torch.arange(len(table)), torch.full((len(table),), float("nan")))).numpy()


def with_synopses(texts: list[str]) -> pl.DataFrame:
    return corpus(len(texts), 1).with_columns(synopsis=pl.Series(texts))


def test_the_published_text_vector_ignores_what_follows_its_first_token(cache: Path) -> None:
    """It is position 0 of a causal encoder with left padding, the flaw that the repaired model removes."""
    texts = ["robot dream school war quiet", "robot love sword idol detective"]
    paper = predicted(made("fusion_synopsis_paper"), with_synopses(texts), cache)
    assert paper[0] == paper[1]
    repaired = predicted(made("fusion_synopsis"), with_synopses(texts), cache)
    assert abs(repaired[0] - repaired[1]) > 1e-4


def test_every_character_counts_but_missing_ones_do_not(cache: Path) -> None:
    model = made("fusion_descriptions")
    cast = [["brave knight"], ["brave knight", "shy ghost"], ["brave knight", None], [None], []]
    table = corpus(len(cast), 2).with_columns(
        descriptions=pl.Series(cast, dtype=pl.List(pl.String)),
        portraits=pl.Series([[None] * len(row) for row in cast], dtype=pl.List(pl.String)),
    )
    one, two, one_known, none_known, nobody = predicted(model, table, cache)
    assert one != two
    assert one == pytest.approx(one_known, abs=1e-6)
    assert none_known == pytest.approx(nobody, abs=1e-6)


def test_a_missing_modality_is_a_learned_vector(cache: Path) -> None:
    model = made("fusion_descriptions")
    nobody = corpus(1, 3).with_columns(
        descriptions=pl.Series([[]], dtype=pl.List(pl.String)), portraits=pl.Series([[]], dtype=pl.List(pl.String))
    )
    before = predicted(model, nobody, cache)
    with torch.no_grad():
        model.absent["descriptions"] += 1
    assert predicted(model, nobody, cache) != before


def test_groups_must_name_each_branch_once() -> None:
    with pytest.raises(UserError, match=r"groups: contains words; expected each branch once: words, counts"):
        Fusion(
            branches={"words": tfidf(), "counts": counts()},
            groups={"plot": ["words"]},
            pooling="mean",
            group_layers={},
            head={},
            dropout=0.0,
            training=None,  # type: ignore[arg-type]
            requires=[],
        )


def test_the_published_perceptron_predicts_shares_of_its_batch(cache: Path) -> None:
    model = made("trad_mlp")
    table = corpus(16, 4)
    unit = (predicted(model, table, cache) - float(model.low)) / float(model.span)
    assert unit.sum() == pytest.approx(1.0, abs=1e-4)
    assert np.ptp(predicted(model, table, cache)) < 1e-5, "integer TF-IDF is zero, so all titles get the same features"
