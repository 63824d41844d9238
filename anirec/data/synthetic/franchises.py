"""Generated franchises: which titles share which main characters, in all the shapes that real ones have."""

from dataclasses import dataclass, field

import numpy as np

MOST = 4  # main characters of a title
SINGLE = 0.55  # share of franchises that are a title alone
LARGEST = 6  # titles around the same heroes
CHAIN, CYCLE = 12, 8  # titles, of which each shares a hero with the next; the cycle's last with its first
LARGE = 100  # titles, from which on there are two chains and a cycle


@dataclass
class Franchises:
    """Titles one franchise after the other; characters by number.

    After `drawn`: `casts`, the main characters of each title; `number` of its franchise; its `place` in it, from 0.
    """

    casts: list[list[int]] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    n_characters: int = 0

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_titles: int) -> "Franchises":
        made = cls()
        if n_titles >= LARGE:
            for size, closed in ((CHAIN, False), (CHAIN, False), (CYCLE, True)):
                made.add(rng, made.chain(size, closed=closed))
        while (left := n_titles - len(made.casts)) > 0:
            size = 1 if rng.random() < SINGLE else int(rng.integers(2, LARGEST + 1))
            made.add(rng, made.around_heroes(rng, min(size, left)))
        return made

    @property
    def n_franchises(self) -> int:
        return self.number[-1] + 1

    def new(self, n: int) -> list[int]:
        """Characters who have not appeared yet."""
        self.n_characters += n
        return list(range(self.n_characters - n, self.n_characters))

    def chain(self, size: int, *, closed: bool) -> list[list[int]]:
        """Casts of which only neighbours have someone in common."""
        links = self.new(size if closed else size - 1)
        if closed:
            return [[links[place - 1], links[place]] for place in range(size)]
        return [links[max(0, place - 1) : place + 1] for place in range(size)]

    def around_heroes(self, rng: np.random.Generator, size: int) -> list[list[int]]:
        """Casts with the same hero, each with some of the same friends."""
        hero, *friends = self.new(int(rng.integers(1, MOST + 1)))
        return [[hero, *(friend for friend in friends if rng.random() < 0.6)] for _ in range(size)]

    def add(self, rng: np.random.Generator, casts: list[list[int]]) -> None:
        number = self.n_franchises if self.number else 0
        for place, shared in enumerate(casts):
            self.casts.append(shared + self.new(int(rng.integers(0, MOST - len(shared) + 1)) // 2))
            self.number.append(number)
            self.place.append(place)
