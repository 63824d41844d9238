"""Exact Shapley values of a few players, by evaluating every coalition."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

Value = Callable[[frozenset[str]], NDArray[np.float64]]


def shapley_values(players: Sequence[str], value: Value) -> dict[str, NDArray[np.float64]]:
    """Return the Shapley value of each player, (n,): its mean marginal contribution over all orders of the players.

    The values of a title sum to value(all players) - value(none). `value` is called 2^players times.

    Args:
        players: Names of the players.
        value: Maps a coalition to its value for each of n titles, (n,).

    References:
        Shapley, A Value for n-Person Games, 1953; Lundberg & Lee, NeurIPS 2017.

    >>> worth = {frozenset(): 0, frozenset("a"): 1, frozenset("b"): 2, frozenset("ab"): 5}
    >>> {name: float(found[0]) for name, found in shapley_values("ab", lambda some: np.array([worth[some]])).items()}
    {'a': 2.0, 'b': 3.0}
    """
    n = len(players)
    worth = {some: value(some) for some in coalitions(players)}
    found = {}
    for player in players:
        others = [other for other in players if other != player]
        found[player] = sum(
            factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n) * (worth[some | {player}] - worth[some])
            for some in coalitions(others)
        )
    return found  # type: ignore[return-value]


def coalitions(players: Sequence[str]) -> list[frozenset[str]]:
    """Return all subsets of the players, from the empty one to all of them."""
    return [frozenset(some) for size in range(len(players) + 1) for some in combinations(players, size)]
