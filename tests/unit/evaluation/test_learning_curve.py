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


def test_without_validation_there_is_no_verdict() -> None:
    assert Curves(train={0: 0.1}).fit(C) is None


def test_published_correlations_get_the_published_words() -> None:
    assert {strength(r) for r in (0.382, 0.362, 0.306, 0.327, 0.304)} == {"moderate"}


@pytest.mark.parametrize(
    ("pearson", "spearman", "fit", "words"),
    [
        (
            0.42,
            0.41,
            "good",
            "moderately (Pearson 0.42, Spearman 0.41) and the fit is good: the model's inputs predict a part",
        ),
        (0.31, 0.29, "good", "weakly"),
        (0.05, 0.2, "good", "very weakly"),
        (0.7, 0.8, "good", "predict a large part"),
        (0.42, 0.41, "under-fit", "under-fits: the impact"),
        (0.42, 0.41, "over-fit", "over-fits"),
        (0.42, 0.41, None, "the fit is unknown"),
        (-0.42, -0.41, "good", "negative"),
    ],
)
def test_impact_sentence_joins_correlation_and_fit_in_one_sentence(
    pearson: float, spearman: float, fit: str | None, words: str
) -> None:
    sentence = impact_sentence(pearson, spearman, fit, n=1_000)  # type: ignore[arg-type]
    assert words in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
