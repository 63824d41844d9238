"""Shift reports of planted titles: those of the training set, short ones, another language, missing characters."""

import numpy as np
import polars as pl
import pytest

from anirec.evaluation.shift import Reference, Shift, measure_shift

N_WORDS = 3000


def titles(n: int, seed: int, *, length: int = 60, first_word: int = 0, comma: float = 0.1) -> pl.DataFrame:
    """Return titles of made-up words; frequent words are shared, rare ones occur in few titles."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        numbers = first_word + (random.pareto(1.0, size=max(3, int(random.normal(length, 10)))) * 20).astype(int)
        marks = np.where(random.random(len(numbers)) < comma, ",", "")
        rows.append(" ".join(f"{spell(int(i) % N_WORDS)}{m}" for i, m in zip(numbers, marks, strict=True)) + ".")
    return pl.DataFrame({"synopsis": rows, "n_main_characters": [2] * n})


def spell(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "x"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(titles(800, seed=1), titles(200, seed=2))


def warnings(shift: Shift) -> str:
    return " ".join(shift.sentences())


@pytest.mark.parametrize("seed", [1, 3])
def test_training_titles_and_titles_like_them_are_not_warned_about(reference: Reference, seed: int) -> None:
    shift = measure_shift(reference, titles(800, seed=seed))
    assert list(shift.sentences()) == []
    assert abs(shift.auc - 0.5) < 0.1
    assert (shift.weights == 1).all()
    assert (shift.own_weights[shift.reasons.is_null().to_numpy()] == 1).all()
    assert shift.reasons.is_null().mean() > 0.97  # type: ignore[operator]


@pytest.mark.parametrize(
    ("synopsis", "reason"),
    [
        ("日本語の物語である。" * 20, "another script"),
        ("zyzzyva quokka wombat numbat " * 15, "unknown words"),
        ("abx.", "short synopsis"),
        ("abx bcx " * 5000, "long synopsis"),
        (None, "no synopsis"),
    ],
)
def test_a_single_title_that_is_far_has_a_reason_and_the_widest_interval(
    reference: Reference, synopsis: str | None, reason: str
) -> None:
    row = pl.DataFrame({"synopsis": [synopsis], "n_main_characters": [2]}, schema_overrides={"synopsis": pl.String})
    shift = measure_shift(reference, row)
    assert reason in shift.reasons[0].split("; ")
    assert shift.own_weights.tolist() == [np.inf]
    assert reason in warnings(shift)
    assert np.isnan(shift.auc)


def test_characters_that_all_training_titles_have_are_missed(reference: Reference) -> None:
    shift = measure_shift(reference, titles(30, seed=4).with_columns(n_main_characters=pl.lit(None, pl.Int32)))
    assert "30 of 30 titles are unlike the training titles: no characters (30)" in warnings(shift)


def test_another_style_is_told_apart_and_weights_similar_calibration_titles(reference: Reference) -> None:
    shift = measure_shift(reference, titles(200, seed=5, comma=0.2))
    assert shift.auc > 0.8
    assert "AUC 0." in warnings(shift)
    commas = reference.surface.filter(split="calibration")["commas"].to_numpy()
    assert np.corrcoef(np.log(shift.weights), commas)[0, 1] > 0.5
