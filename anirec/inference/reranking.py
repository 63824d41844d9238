"""A list for one person that trades relevance against novelty and diversity."""

import numpy as np
from numpy.typing import NDArray

from anirec.metrics.variation import is_constant


def reranked(
    score_c: NDArray[np.floating],
    count_c: NDArray[np.integer],
    genres_cg: NDArray[np.bool_],
    *,
    k: int,
    novelty: float,
) -> NDArray[np.int64]:
    """Places of the k chosen candidates, (min(k, C),), best first.

    Candidates are taken one by one, each time the one with the most (1 - novelty) relevance + novelty (surprise +
    difference) / 2: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998) with the novelty and the diversity
    of Vargas & Castells (Rank and Relevance in Novelty and Diversity Metrics for Recommender Systems, RecSys 2011).

    All three lie in 0..1. Relevance is the score and surprise the self-information of how many have rated the title,
    both from the least to the most of all candidates. Difference is 1 - the greatest Jaccard similarity of genres to a
    title chosen before; 0 without a genre, of which nothing can be said.

    Args:
        score_c: The model's scores of C candidates.
        count_c: Training ratings of each; none counts as one.
        genres_cg: Which candidate has which genre.
        k: Length of the list; >= 1.
        novelty: From 0, the best scores, to 1, whatever is least known and least alike.

    >>> scores, counts, genres = np.array([9, 8, 7]), np.array([100, 100, 10]), np.array([[1, 0], [1, 0], [0, 1]]) > 0
    >>> reranked(scores, counts, genres, k=2, novelty=0.0), reranked(scores, counts, genres, k=2, novelty=0.6)
    (array([0, 1]), array([0, 2]))
    """
    relevance_c, surprise_c = unit(score_c), unit(-np.log2(np.maximum(count_c, 1)))
    difference_c = (genres_cg.any(axis=1)).astype(np.float64)
    chosen: list[int] = []
    for _ in range(min(k, len(score_c))):
        value_c = (1 - novelty) * relevance_c + novelty * (surprise_c + difference_c) / 2
        value_c[chosen] = -np.inf
        chosen.append(int(value_c.argmax()))
        difference_c = np.minimum(difference_c, 1 - jaccard(genres_cg[chosen[-1]], genres_cg))
    return np.array(chosen, dtype=np.int64)


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """From 0, the least of the values, to 1, the greatest; 0 where all are equal, up to rounding.

    >>> unit(np.array([2.0, 4.0, 3.0])), unit(np.array([5.0, 5.0]))
    (array([0. , 1. , 0.5]), array([0., 0.]))
    """
    return np.zeros(len(values)) if is_constant(values) else (values - values.min()) / np.ptp(values)


def jaccard(genres_g: NDArray[np.bool_], genres_cg: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(C,): shared genres over the genres of either; 0 where neither has one."""
    shared_c, either_c = (genres_cg & genres_g).sum(axis=1), (genres_cg | genres_g).sum(axis=1)
    return shared_c / np.maximum(either_c, 1)
