"""Facts of users and items: counts, damped means, age, genres and synopsis."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from anirec.data.ratings.interactions import Interactions
from anirec.models.ratings.item_facts import DAMPING, ages, genre_vectors, rating_facts, text_vectors


def test_facts_of_ratings_are_damped_and_an_unknown_user_has_those_of_all() -> None:
    user, rating = np.array([0, 0, 1, 1], np.int32), np.array([10, 8, 2, np.nan], np.float32)
    rows = Interactions(user, np.array([0, 1, 0, 1], np.int32), rating, 2)
    facts = rating_facts(rows, rows.user, 2)
    mean, variance = 20 / 3, np.var([10, 8, 2])
    own = (18 + DAMPING * mean) / (2 + DAMPING)
    spread = np.sqrt(((10 - own) ** 2 + (8 - own) ** 2 + DAMPING * variance) / (2 + DAMPING))
    np.testing.assert_allclose(facts[0], [np.log(3), own, spread], rtol=1e-6)
    np.testing.assert_allclose(facts[1, :2], [np.log(2), (2 + DAMPING * mean) / (1 + DAMPING)], rtol=1e-6)
    np.testing.assert_allclose(facts[2], [0, mean, np.sqrt(variance)], rtol=1e-6)


def test_ages_are_years_before_the_newest_title() -> None:
    items = pl.DataFrame({"aired_from": [date(2016, 1, 1), date(2015, 1, 1), None]})
    np.testing.assert_allclose(ages(items, 3), [0, 365 / 365.25, -1], rtol=1e-6)
    assert (ages(pl.DataFrame(), 3) == -1).all()


def test_titles_with_the_same_rare_genre_are_closer_than_those_with_a_common_one() -> None:
    genres = [["Action", "Mecha"], ["Action", "Mecha"], ["Action", "Drama"], ["Action"], []]
    vectors = genre_vectors(pl.DataFrame({"genres": genres}), 5)
    close = vectors @ vectors[0]
    assert close[1] > 0.99 > 0.5 > close[2]
    assert close[4] == 0


def test_synopses_of_the_same_topic_are_close_and_one_without_text_is_0() -> None:
    random = np.random.default_rng(0)
    topics = [[f"{letter * 3}{n}" for n in range(40)] for letter in "abc"]
    topics = [[word.translate(str.maketrans("0123456789", "ghijklmnop")) for word in topic] for topic in topics]
    texts = [" ".join(random.choice(topics[n % 3], 12)) for n in range(299)]
    vectors = text_vectors(pl.DataFrame({"synopsis": [*texts, None]}), 300)
    close = vectors[:299] @ vectors[:299].T
    same = np.arange(299)[:, None] % 3 == np.arange(299) % 3
    assert close[same].mean() > 0.2 > abs(close[~same]).mean()
    assert not vectors[299].any()
    assert text_vectors(pl.DataFrame(), 3).shape == (3, 0)


def test_texts_without_spaces_are_compared_by_pairs_of_characters() -> None:
    random = np.random.default_rng(0)
    topics = ["".join(map(chr, range(first, first + 40))) for first in (0x3042, 0x4E00, 0x5000)]
    texts = ["".join(topics[n % 3][m : m + 3] for m in random.integers(0, 38, 8)) for n in range(300)]
    vectors = text_vectors(pl.DataFrame({"synopsis": texts}), 300)
    close = vectors @ vectors.T
    same = np.arange(300)[:, None] % 3 == np.arange(300) % 3
    assert close[same].mean() > 0.2 > abs(close[~same]).mean()


def test_texts_without_a_common_word_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    unique = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(300)]
    for texts in (unique, [f"{text} rare" if n < 3 else text for n, text in enumerate(unique)], ["..."] * 2 + unique):
        assert text_vectors(pl.DataFrame({"synopsis": texts}), len(texts)).shape == (len(texts), 0)
    assert "the synopses are not used" in caplog.text
