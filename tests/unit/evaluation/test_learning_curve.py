import polars as pl
import pytest

from anirec.evaluation.findings import Curves, impact_sentence, judge_fit, strength

C = 0.012  # the error of the mean
CURVES = {
    "close together and flat": ([0.0118, 0.0102, 0.0100], [0.0110, 0.0104, 0.0103], "good"),
    "rises a little at the end": ([0.0105, 0.0095, 0.0090], [0.0104, 0.0100, 0.0105], "good"),
    "turns up": ([0.0100, 0.0070, 0.0020], [0.0100, 0.0095, 0.0130], "over-fit"),
    "training leaves validation behind": ([0.0100, 0.0050, 0.0010], [0.0112, 0.0110, 0.0110], "over-fit"),
    "never better than the mean, by heart": ([0.0110, 0.0040], [0.0121, 0.0125], "over-fit"),
    "both at the mean": ([0.0122, 0.0120, 0.0119], [0.0121, 0.0120, 0.0120], "under-fit"),
    "far worse than the mean": ([0.4150, 0.4150], [0.4129, 0.4129], "under-fit"),
    "both still fall": ([0.0118, 0.0105, 0.0090], [0.0115, 0.0104, 0.0092], "under-fit"),
    "one good point": ([0.0090], [0.0100], "good"),
    "one point, by heart": ([0.0010], [0.0101], "over-fit"),
    "one point, the mean itself": ([0.0120], [0.0120], "under-fit"),
    "one good point of unknown training": ([None], [0.0100], "good"),
    "one poor point of unknown training": ([None], [0.0119], "under-fit"),
    "turns up, training unknown": ([None, None], [0.0090, 0.0110], "over-fit"),
}


@pytest.mark.parametrize(("train", "val", "expected"), CURVES.values(), ids=CURVES)
def test_verdict_on_curves_whose_fit_anybody_sees(train: list, val: list, expected: str) -> None:
    assert judge_fit(train, val, C) == expected


@pytest.mark.parametrize("scale", [1e-3, 81.0])
def test_verdict_does_not_depend_on_the_unit(scale: float) -> None:
    for train, val, expected in CURVES.values():
        scaled = [None if error is None else scale * error for error in train]
        assert judge_fit(scaled, [scale * error for error in val], scale * C) == expected


def test_a_checkpoint_adds_epochs_and_overwrites_none() -> None:
    curves = Curves(train={2: 0.3}, val={2: 0.4, 3: 0.35})
    curves.restore({"train": {0: 0.9, 1: 0.5, 2: 7.0}, "val": {0: 0.9, 1: 0.6, 2: 7.0}})
    assert curves.table().equals(
        pl.DataFrame({"epoch": [0, 1, 2, 3], "train": [0.9, 0.5, 0.3, None], "val": [0.9, 0.6, 0.4, 0.35]})
    )


def test_without_validation_or_with_one_epoch_there_is_no_verdict() -> None:
    assert Curves(train={0: 0.1}).fit(C) is None
    assert Curves(train={0: 0.1}, val={0: 0.1}).fit(C) is None


def test_no_fit_is_called_good_without_a_tested_gain() -> None:
    curves = Curves(train={0: 0.0118, 1: 0.0100}, val={0: 0.0110, 1: 0.0103})
    assert "good fit" in curves.describe("good", C, is_gain=True)
    assert "good" not in curves.describe("good", C, is_gain=False)


@pytest.mark.parametrize(("fit", "words"), [("over-fit", "weight_decay"), ("under-fit", "Train longer")])
def test_a_poor_fit_comes_with_what_to_do(fit: str, words: str) -> None:
    assert words in Curves(val={0: 0.0110, 1: 0.0103}).describe(fit, C, is_gain=False)  # type: ignore[arg-type]


def test_published_correlations_get_the_published_words() -> None:
    assert {strength(r) for r in (0.382, 0.362, 0.306, 0.327, 0.304)} == {"moderate"}


@pytest.mark.parametrize(
    ("pearson", "spearman", "words"),
    [
        (0.42, 0.41, "moderately (Pearson 0.42, Spearman 0.41): the model's inputs predict a part"),
        (0.31, 0.29, "weakly"),
        (0.05, 0.2, "very weakly"),
        (0.7, 0.8, "predict a large part"),
        (0.2, -0.41, "next to nothing"),
    ],
)
def test_the_weaker_correlation_sets_the_word(pearson: float, spearman: float, words: str) -> None:
    sentence = impact_sentence(pearson, spearman)
    assert words in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
