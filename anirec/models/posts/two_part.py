"""Two-part model for scores that are mostly 0, as a scikit-learn estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone

from anirec.errors import UserError


class TwoPart(RegressorMixin, BaseEstimator):
    """Two-part regressor: P(y ≠ 0 | x) · E(y | y ≠ 0, x).

    Args:
        classifier: A scikit-learn classifier with `predict_proba`; it predicts whether the score is other than 0.
        regressor: A scikit-learn regressor; it is fitted to the scores other than 0, including negative ones.

    Raises:
        UserError: In `fit`, if all scores are 0 or none is.

    References:
        Cragg, Some Statistical Models for Limited Dependent Variables, Econometrica 39, 1971.

    >>> from sklearn.dummy import DummyClassifier, DummyRegressor
    >>> model = TwoPart(classifier=DummyClassifier(), regressor=DummyRegressor())
    >>> model.fit(np.zeros((4, 1)), np.array([0, 0, 3, 1])).predict(np.zeros((1, 1)))
    array([1.])
    """

    def __init__(self, *, classifier: Any, regressor: Any) -> None:
        self.classifier, self.regressor = classifier, regressor

    def fit(self, X: Any, y: NDArray[np.floating]) -> "TwoPart":  # noqa: N803  (scikit-learn's name)
        is_voted = y != 0
        if is_voted.all() or not is_voted.any():
            share = "none" if is_voted.all() else "all"
            raise UserError(
                f"TwoPart needs posts with score 0 and posts with other scores, but {share} of the {len(y):,} training "
                "posts have score 0. Sample both kinds: see dataset.sampling.zeros and dataset.sampling.ones."
            )
        self.classifier_ = clone(self.classifier).fit(X, is_voted)
        self.regressor_ = clone(self.regressor).fit(X[is_voted], y[is_voted])
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        probability = self.classifier_.predict_proba(X)[:, list(self.classifier_.classes_).index(True)]
        return probability * self.regressor_.predict(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = all(
            part.__sklearn_tags__().input_tags.sparse for part in (self.classifier, self.regressor)
        )
        return tags
