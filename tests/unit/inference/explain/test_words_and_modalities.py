"""Contributions and effects: complete, zero where there is nothing, exact for linear models, dependent on weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from anirec.config.compose import conf_folder
from anirec.data.titles.loaders import TitleBatch
from anirec.features.tabular import Counts, Tabular
from anirec.features.tfidf import TfIdf
from anirec.inference.explain.characters import PortraitReader, heat_map, member_effects
from anirec.inference.explain.modalities import contributions, predict
from anirec.inference.explain.readout import vectors_at
from anirec.inference.explain.similar import similarity
from anirec.inference.explain.words import Reader, encoded_effects, tfidf_effects
from anirec.models.titles.kernel_ridge import KernelRidge
from anirec.models.titles.ridge import Ridge

CPU = torch.device("cpu")
WORDS = ["robot", "dream", "school", "war", "quiet", "love", "sword", "idol", "detective", "rain", "sea", "ghost"]
CAST = ["A brave knight.", "A shy ghost.", "The loyal robot.", None]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Sixty titles with a synopsis, one to three characters with a description, and a portrait of some."""
    folder, random = tmp_path_factory.mktemp("portraits"), np.random.default_rng(0)
    for number in range(8):
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    sizes = random.integers(1, 4, 60)
    paths = [
        [str(folder / f"{random.integers(8)}.png") if random.random() < 0.8 else None for _ in range(n)] for n in sizes
    ]
    return pl.DataFrame(
        {
            "synopsis": [" ".join(random.choice(WORDS, random.integers(4, 30))) for _ in sizes],
            "descriptions": [[random.choice(CAST) for _ in range(n)] for n in sizes],
            "portraits": paths,
            "n_main_characters": pl.Series(sizes, dtype=pl.Int32),
            "genres": [[str(random.choice(["Drama", "Action", "Comedy"]))] for _ in sizes],
            "score": random.normal(7, 1, 60).clip(1, 10).astype(np.float32),
        }
    )


def tfidf(column: str = "synopsis") -> TfIdf:
    return TfIdf(
        columns=[column], ngrams=[1, 2], analyzer="word", min_df=1, max_features=None, sublinear=True, punctuation=False
    )


def ridge() -> Ridge:
    branches = {"words": tfidf(), "cast": tfidf("descriptions"), "facts": Tabular(columns=["genres"])}
    return Ridge(branches=branches, alpha=0.5, weights=None)


def kernel_ridge() -> KernelRidge:
    return KernelRidge(
        branches={"words": tfidf(), "counts": Counts(columns=["synopsis_words", "n_main_characters"])},
        kernels={"words": "linear", "counts": "rbf"},
        weights={"words": 1.0, "counts": 0.3},
        alpha=0.5,
    )


def network() -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", ["model=fusion", "encoders=tiny"])
    torch.manual_seed(0)
    return instantiate(config.model, _convert_="all")


MODELS: dict[str, Callable[[], Any]] = {"ridge": ridge, "kernel_ridge": kernel_ridge, "network": network}


@pytest.fixture
def make(table: pl.DataFrame, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that fits a model to the table, and lets it look at the table or at other titles."""

    def make(name: str, titles: pl.DataFrame | None = None) -> Any:
        model = MODELS[name]()
        model.fit(table)
        model.look(table, cache=tmp_path, device=CPU)
        model.configure_model()
        if name != "network":
            score = torch.from_numpy(table["score"].to_numpy(writable=True))
            model.learn(TitleBatch(torch.arange(len(table)), score))
        model.look(table if titles is None else titles, cache=tmp_path, device=CPU)
        return model.eval().requires_grad_(False)

    return make


def first(table: pl.DataFrame, **changed: Any) -> pl.DataFrame:
    return table[:1].with_columns(pl.Series(name, [value], table.schema[name]) for name, value in changed.items())


@pytest.mark.parametrize("name", MODELS)
def test_contributions_sum_to_the_prediction_minus_that_of_a_title_without_any(name: str, make: Any) -> None:
    model, index = make(name), np.arange(60)
    before = predict(model, index)
    effects, nothing, _ = contributions(model, index)
    assert np.std(sum(effects.values())) > 1e-3
    np.testing.assert_allclose(nothing + sum(effects.values()), before, atol=1e-5)
    np.testing.assert_array_equal(predict(model, index), before)  # the model is as it was
    np.testing.assert_allclose(nothing, nothing[0])


def test_a_title_without_modalities_is_what_the_model_predicts_of_one(make: Any, table: pl.DataFrame) -> None:
    empty = first(table, synopsis=None, descriptions=[], portraits=[])
    model = make("network", pl.concat([table, empty]))
    _, nothing, present = contributions(model, np.arange(61))
    assert predict(model, np.array([60])) == pytest.approx(nothing[:1], abs=1e-6)
    assert not any(has[60] for has in present.values())


@pytest.mark.parametrize("name", ["ridge", "network"])
def test_a_missing_modality_contributes_nothing(name: str, make: Any, table: pl.DataFrame) -> None:
    model = make(name, first(table, synopsis=None))
    effects, _, present = contributions(model, np.zeros(1, np.int64))
    modality = next(iter(model.branches))
    assert effects[modality].tolist() == [0.0]
    assert not present[modality][0]
    assert all(present[other][0] for other in effects if other != modality)


@pytest.mark.parametrize("name", ["ridge", "kernel_ridge"])
def test_terms_of_a_linear_model_are_exact(name: str, make: Any, table: pl.DataFrame) -> None:
    model = make(name, table[:1])
    (words,) = tfidf_effects(model, "words", vectors_at(model, 0), {"synopsis": [table["synopsis"][0]]})
    row = model.branch("words").matrix(np.zeros(1, np.int64))
    if name == "ridge":
        slope = (model.coefficient * model.scale).numpy()[: row.shape[1]]
    else:
        slope = model.known["words"].coefficient.numpy()
    expected = row.toarray()[0] * slope
    terms = model.branch("words").terms()
    assert words.terms == pytest.approx({terms[i]: expected[i] for i in np.flatnonzero(expected)}, abs=1e-6)
    effects, *_ = contributions(model, np.zeros(1, np.int64))
    assert words.total == pytest.approx(effects["words"][0], abs=1e-6)
    # Every word of the text is highlighted with its part; nothing is lost or invented.
    assert "".join(span.text for span in words.spans) == table["synopsis"][0]
    assert sum(span.effect for span in words.spans) == pytest.approx(words.total, abs=1e-6)


def test_words_of_a_network_are_complete_and_change_with_its_weights(make: Any, table: pl.DataFrame) -> None:
    model, text = make("network", table[:1]), table["synopsis"][0]
    scales = []
    for seed in (None, 1, 2):
        if seed is not None:
            torch.manual_seed(seed)
            for module in model.modules():
                getattr(module, "reset_parameters", lambda: None)()
        reader, parts = Reader.of(model.branch("synopsis")), vectors_at(model, 0)
        found = encoded_effects(model, "synopsis", parts, member=0, text=text, label="synopsis", reader=reader)
        assert sum(span.effect for span in found.spans) == pytest.approx(found.total, rel=0.02, abs=2e-4)
        assert set(found.terms) == set(text.split())
        scales.append([found.terms[word] for word in sorted(found.terms)])
    assert np.corrcoef(scales[1], scales[2])[0, 1] < 0.9


def test_characters_and_portraits_are_complete(make: Any, table: pl.DataFrame, tmp_path: Path) -> None:
    paths = [path for row in table["portraits"] for path in row if path][:2]
    title = first(table, descriptions=["A brave knight.", None, "A shy ghost."], portraits=[*paths, None])
    model = make("network", title)
    parts, index = vectors_at(model, 0), np.zeros(1, np.int64)
    effects = member_effects(model, ["descriptions", "portraits"], parts)
    assert effects["descriptions"][1] == 0.0
    assert effects["portraits"][2] == 0.0
    alone, _, _ = contributions(make("network", first(title, synopsis=None, portraits=[None] * 3)), index)
    without = make("network", first(title, synopsis=None, portraits=[None] * 3))
    shares = member_effects(without, ["descriptions"], vectors_at(without, 0))["descriptions"]
    assert shares.sum() == pytest.approx(alone["descriptions"][0], rel=0.02, abs=1e-4)

    model = make("network", title)
    reader = PortraitReader(model.branch("portraits"), tmp_path)
    heat = heat_map(model, "portraits", vectors_at(model, 0), member=1, paths=(paths[1],), label="b", reader=reader)
    assert heat.effects.shape == heat.pixels.shape[1:]
    assert heat.effects.sum() == pytest.approx(heat.total, rel=0.06, abs=3e-3)
    assert heat.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", MODELS)
def test_the_most_similar_title_is_the_same_title(name: str, make: Any, table: pl.DataFrame) -> None:
    model = make(name, pl.concat([table[:1], table]))
    near = similarity(model, 0, np.arange(1, 61))
    assert near[0] == pytest.approx(1.0, abs=1e-6)
    assert near.max() == pytest.approx(1.0, abs=1e-6)
    assert np.median(near) < 0.9
