"""Shift: how unlike the training titles of a run the titles of a file are, by words, length, script and modalities.

Intervals hold for titles like those that calibrated them. A run therefore saves the surface of its training and
calibration titles and its vocabulary; `anirec predict` compares the titles of its input with them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.titles.surface import MODALITIES, surface
from anirec.metrics.variation import is_constant

WORD = r"\p{L}+"
TAIL = 0.0025  # share of training titles beyond each limit
FOREIGN = 0.2  # share of letters outside the Latin script that is unusual in any case
COMMON = 0.99  # share of training titles that have a modality which a title is expected to have
UNUSUAL = 0.05  # share of titles of a file beyond limits that is worth a warning
EMPTY = pl.DataFrame({"synopsis": []}, schema={"synopsis": pl.String})
MIN_TITLES, FOLDS = 50, 5  # of a file, for a classifier
ALIKE = 0.65  # area under the ROC curve below which titles count as alike
MOST = 20.0  # largest weight of a calibration title, and 1 / the smallest


@dataclass(frozen=True)
class Reference:
    """What is known of the titles of a run.

    Args:
        surface: Surface features, `unknown` and `split` (train or calibration), one row per title. `unknown` is the
            share of a title's words that no other training title has, null for calibration titles.
        words: The column `word`: lower-case words of the training titles.
    """

    surface: pl.DataFrame
    words: pl.DataFrame

    @classmethod
    def of(cls, train: pl.DataFrame, calibration: pl.DataFrame) -> "Reference":
        of_title = words_of(train)
        counts = of_title.unique().group_by("word", maintain_order=True).agg(n=pl.len())
        alone = counts.filter(n=1).select("word")
        own = surface(train).with_columns(unknown=share_of(of_title, alone, len(train)), split=pl.lit("train"))
        held = surface(calibration).with_columns(split=pl.lit("calibration"))
        return cls(pl.concat([own, held], how="diagonal"), counts.select("word").sort("word"))

    @property
    def train(self) -> pl.DataFrame:
        return self.surface.filter(split="train")


@dataclass(frozen=True)
class Shift:
    """How unlike the training titles the titles of a file are.

    Args:
        reasons: Column of text, null where a title is like the training titles.
        auc: Area under the ROC curve of a classifier that tells titles of the file from training titles by their
            surface, in cross-validation; 0.5 for titles that are alike, NaN for too few titles.
        weights: How many times as likely the surface of each calibration title is in the file, (n,).
        own_weights: The same for each title of the file, (m,); infinity where there is a reason.
    """

    reasons: pl.Series
    auc: float
    weights: NDArray[np.float64]
    own_weights: NDArray[np.float64]

    def sentences(self) -> Iterator[str]:
        """Yield warnings about the file; none if its titles are like the training titles."""
        n, reasons = len(self.reasons), self.reasons.drop_nulls()
        if len(reasons) > UNUSUAL * n:
            counts = reasons.str.split("; ").explode().value_counts(sort=True).sort("count", reasons.name)
            found = ", ".join(f"{reason} ({count:,})" for reason, count in counts.reverse().iter_rows())
            yield (
                f"{len(reasons):,} of {n:,} titles are unlike the training titles: {found}. Their intervals are the "
                "widest that were calibrated, and may still be too narrow."
            )
        if self.auc >= ALIKE:
            yield (
                f"A classifier tells these titles from the training titles by length and style (AUC {self.auc:.2f}; "
                "0.5: alike). The intervals give more weight to calibration titles that resemble them."
            )


def words_of(titles: pl.DataFrame) -> pl.DataFrame:
    """Return row number and lower-case word of all words of the synopses."""
    words = titles.select(row=pl.int_range(pl.len()), word=pl.col("synopsis").str.to_lowercase().str.extract_all(WORD))
    return words.explode("word").drop_nulls()


def share_of(of_title: pl.DataFrame, words: pl.DataFrame, n: int) -> pl.Series:
    """Return the share of each title's words that are among `words`, (n,); 0 for titles without words."""
    found = of_title.join(words.with_columns(found=1.0), on="word", how="left")
    shares = found.group_by("row").agg(pl.col("found").fill_null(0).mean())
    return (
        pl.select(row=pl.int_range(n)).join(shares, on="row", how="left", maintain_order="left")["found"].fill_null(0)
    )


def measure_shift(reference: Reference, titles: pl.DataFrame) -> Shift:
    """Compare titles with those of a run."""
    train, own = reference.train, surface(titles)
    of_title = words_of(titles)
    known = share_of(of_title, reference.words, len(titles))
    own = own.with_columns(unknown=pl.when(titles["synopsis"].is_not_null()).then(1 - known).otherwise(0.0))
    reasons = own.select(
        pl.concat_str(
            [pl.when(rule).then(pl.lit(name)) for name, rule in rules(train, own)], separator="; ", ignore_nulls=True
        ).replace("", None)
    ).to_series()
    auc, weights, own_weights = resemblance(reference, own)
    return Shift(reasons.alias("unlike_training"), auc, weights, np.where(reasons.is_null(), own_weights, np.inf))


def rules(train: pl.DataFrame, own: pl.DataFrame) -> Iterator[tuple[str, pl.Expr]]:
    """Yield reasons why a title is unlike the training titles, and expressions that say whether it is."""
    for name in MODALITIES:
        column = f"has_{name}"
        if column in train.columns and float(train[column].mean()) >= COMMON:  # type: ignore[arg-type]
            yield f"no {name}", (pl.col(column) == 0) if column in own.columns else pl.lit(True)

    def limit(column: str, share: float) -> float:
        return float(np.quantile(train[column], share))

    has_text = pl.col("has_synopsis") == 1
    yield "unknown words", has_text & (pl.col("unknown") > limit("unknown", 1 - TAIL))
    yield "another script", has_text & (pl.col("non_latin") > max(FOREIGN, limit("non_latin", 1 - TAIL)))
    yield "short synopsis", has_text & (pl.col("log_words") < limit("log_words", TAIL))
    yield "long synopsis", has_text & (pl.col("log_words") > limit("log_words", 1 - TAIL))


def resemblance(reference: Reference, own: pl.DataFrame) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the area under the ROC curve, and the weights of calibration titles and of the file's; see `Shift`."""
    held = reference.surface.filter(split="calibration")
    equal = np.ones(len(held)), np.ones(len(own))
    train = reference.train
    # Modalities have rules of their own, and a title of a file rarely has all those of a dump.
    style = [name for name in surface(EMPTY).columns if name in train.columns and not name.startswith("has_")]
    names = [name for name in style if not is_constant(train[name])]
    if len(own) < MIN_TITLES or not names:
        return np.nan, *equal
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([table.select(names).to_numpy() for table in (train, own)]).astype(np.float64)
    y = np.repeat([0, 1], [len(train), len(own)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    out_of_fold = cross_val_predict(classifier, x, y, cv=folds, method="decision_function")
    auc = float(roc_auc_score(y, out_of_fold))
    if auc < ALIKE:
        return auc, *equal
    classifier.fit(x, y)
    # Log odds of equally large classes: the logarithm of the ratio of densities.
    of_held = classifier.decision_function(held.select(names).to_numpy().astype(np.float64))
    ratios = (np.exp(odds.clip(-np.log(MOST), np.log(MOST))) for odds in (of_held, out_of_fold[len(train) :]))
    return auc, *ratios
