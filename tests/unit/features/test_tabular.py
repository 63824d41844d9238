"""TF-IDF, tabular facts and counts: scikit-learn's numbers, learned on training titles alone."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from anirec.errors import UserError
from anirec.features.tabular import Counts, Tabular


def test_tfidf_is_scikit_learns_with_the_idf_of_training(make_tfidf, seen, titles: pl.DataFrame) -> None:
    new = pl.DataFrame({"synopsis": ["A thief and a samurai in the kingdom, a thief!", None]})
    branch = seen(make_tfidf(), new)
    known = [text for text in titles["synopsis"] if text and text.strip()]
    expected = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(known).transform([new["synopsis"][0], ""])
    np.testing.assert_allclose(branch.matrix(np.array([0, 1])).toarray(), expected.toarray(), atol=1e-6)
    np.testing.assert_allclose(branch(torch.tensor([0])).values[0], expected[0].toarray(), atol=1e-6)
    assert branch(torch.tensor([0, 1])).present.tolist() == [[True], [False]]
    assert "thief" in branch.terms()
    assert "samurai" not in branch.terms()


def test_tfidf_of_two_columns_stand_beside_each_other(make_tfidf, seen) -> None:
    both = seen(make_tfidf(columns=["synopsis", "descriptions"]))
    one, other = seen(make_tfidf()), seen(make_tfidf(columns=["descriptions"]))
    rows = np.arange(6)
    expected = np.hstack([one.matrix(rows).toarray(), other.matrix(rows).toarray()])
    np.testing.assert_array_equal(both.matrix(rows).toarray(), expected)
    assert both.requires == {"synopsis", "description"}


def test_facts_are_flags_and_standardised_numbers(seen) -> None:
    branch = seen(Tabular(columns=["genres", "type", "episodes"]))
    assert branch.names() == [
        *("genres=Action", "genres=Drama", "type=Movie", "type=TV"),
        *("episodes=value", "episodes=unknown"),
    ]
    values = branch(torch.arange(6)).values[:, 0].numpy()
    np.testing.assert_array_equal(values[:, 0], [1, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(values[:, 3], [1, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(values[:, 5], [0, 0, 1, 0, 0, 0])
    known = values[[0, 1, 3, 4, 5], 4]
    assert known.mean() == pytest.approx(0, abs=1e-6)
    assert known.std(ddof=1) == pytest.approx(1, abs=1e-6)
    assert values[2, 4] == 0
    assert Tabular.later
    assert not Counts.later


def test_facts_that_training_did_not_know_have_no_flag(seen) -> None:
    new = pl.DataFrame({"genres": [["Isekai"], ["Drama"]], "type": ["ONA", None], "episodes": [None, 24]})
    branch = seen(Tabular(columns=["genres", "type", "episodes"]), new)
    np.testing.assert_array_equal(branch(torch.tensor([0])).values[0, 0], [0, 0, 0, 0, 0, 1])


def test_counts_are_standardised_logarithms(seen, titles: pl.DataFrame) -> None:
    branch = seen(Counts(columns=["synopsis_words", "n_main_characters"]))
    values = branch(torch.arange(6)).values[:, 0].numpy()
    words = np.log1p([9, 19, 0, 0, 8, 5])
    np.testing.assert_allclose(values[:, 0], (words - words.mean()) / words.std(), atol=1e-6)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Counts(columns=["members"]), "expected one of synopsis_words"),
        (lambda: Tabular(columns=[]), "expected a list of length >= 1"),
    ],
)
def test_impossible_settings_are_refused(make, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()


def test_absent_facts_are_named(seen) -> None:
    with pytest.raises(UserError, match="the titles have no studios"):
        seen(Tabular(columns=["genres", "studios"]))
