"""Synopsis length and main characters against the score, by band and as correlations, generated and real."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from anirec.data.sources.mal_2020 import Mal2020
from anirec.data.sources.mal_characters import MalCharacters
from anirec.data.titles.catalogue import Catalogue, prepare_all, sources_by_name
from anirec.data.titles.cleaning import Cleaning
from anirec.describing.summary import before_ablation, score_correlations, statistics_by_band, statistics_of_all

N = 500
RANDOM = np.random.default_rng(0)
SCORE = RANDOM.uniform(4, 10, N).astype(np.float32)
WORDS = (20 + 15 * SCORE + RANDOM.normal(0, 40, N)).clip(1).astype(int)
CAST = RANDOM.integers(0, 6, N).astype(np.int32)
TITLES = pl.DataFrame({"score": SCORE, "synopsis": ["word " * n for n in WORDS], "n_main_characters": CAST})


def test_statistics_by_band_match_numpy() -> None:
    bands = statistics_by_band(TITLES)
    assert bands["from"].to_list() == [4, 5, 6, 7, 8, 9]
    assert bands["titles"].sum() == N
    for band in bands.iter_rows(named=True):
        inside = (band["from"] <= SCORE) & (band["from"] + 1 > SCORE)
        words = WORDS[inside]
        assert band["titles"] == inside.sum()
        assert (band["words_min"], band["words_max"]) == (words.min(), words.max())
        assert band["words_mean"] == pytest.approx(words.mean())
        assert [band["words_low"], band["words_high"]] == pytest.approx(np.percentile(words, [25, 75]))
        assert band["characters_mean"] == pytest.approx(CAST[inside].mean())
    assert statistics_of_all(TITLES)["words_mean"].item() == pytest.approx(WORDS.mean())


def test_a_score_of_10_is_in_the_band_from_9_and_empty_bands_are_omitted() -> None:
    titles = TITLES[:3].with_columns(score=pl.Series([10.0, 9.0, 2.99], dtype=pl.Float32))
    assert statistics_by_band(titles).select("from", "titles").rows() == [(2, 1), (9, 2)]


def test_correlations_match_scipy() -> None:
    found = score_correlations(TITLES)
    for name, values in {"synopsis words": WORDS, "main characters": CAST}.items():
        score = SCORE.astype(float)
        assert found[name] == pytest.approx((pearsonr(values, score)[0], spearmanr(values, score)[0]))


def test_the_correlation_of_a_constant_is_none() -> None:
    alike = TITLES.with_columns(score=pl.lit(7.0, pl.Float32))
    assert set(score_correlations(alike).values()) == {None}
    assert score_correlations(TITLES[:1])["synopsis words"] is None


@pytest.mark.real_data
def test_highly_rated_titles_have_long_synopses_before_the_ablation(cache: Path) -> None:
    """The expected values were computed from the same files with pandas and scipy."""
    data = os.environ["ANIREC_DATA"]
    links = MalCharacters(folder=f"{data}/mal-characters")
    sources = sources_by_name(Mal2020(folder=f"{data}/mal-2020", ratings=None), {"characters": links, "posters": None})
    catalogue = Catalogue(sources, prepare_all(sources, cache))
    cleaning = Cleaning(
        cut_texts_at=["(source", "(Source", "[Written"],
        character_description=False,
        character_portrait=False,
        score=True,
        synopsis=True,
        min_synopsis_words=20,
        main_character=True,
        ablate_below=0.2,
        ablate_min_score=7,
        ablate_min_words=100,
    )
    before, _ = catalogue.clean(before_ablation(cleaning))
    after, removed = catalogue.clean(cleaning)
    assert cleaning.ablate_below == 0.2
    assert statistics_by_band(before)["titles"].to_list() == [24, 2784, 2582, 504, 11]
    assert score_correlations(before)["synopsis words"] == pytest.approx((0.2994, 0.3138), abs=1e-4)
    assert score_correlations(before)["main characters"] == pytest.approx((0.0720, 0.1005), abs=1e-4)
    assert max(score_correlations(after)["synopsis words"] or ()) < 0.2
    assert len(before) - len(after) == removed["ablate_below"] == 577
