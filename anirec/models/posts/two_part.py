"""Two parts for scores that are mostly 0: whether anybody votes, and how many if so. An estimator for scikit-learn.

Source: Cragg, Some Statistical Models for Limited Dependent Variables, Econometrica 39, 1971.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone

from anirec.errors import UserError


class TwoPart(RegressorMixin, BaseEstimator):
    """The probability of a score other than 0, times the mean of such scores.

    Args:
        classifier: Of scikit-learn's, with `predict_proba`; learns which scores are not 0.
        regressor: Of scikit-learn's; learns from the scores that are not 0, negative ones too.

    Raises:
        UserError: In `fit`, if all scores are 0, or none.

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
            raise UserError(
                f"TwoPart learns which scores are 0, but {'no' if is_voted.all() else 'every'} score of the {len(y):,} "
                "training posts is. Sample posts of both kinds: dataset.sampling.zeros, dataset.sampling.ones."
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
