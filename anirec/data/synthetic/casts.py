"""Generators of franchises, in which titles share main characters in the shapes of real ones, and of portraits."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

MOST = 4  # main characters of a title
SINGLE = 0.55  # share of franchises with one title
LARGEST = 6  # titles around the same hero
CHAIN, CYCLE = 12, 8  # titles in which each shares a hero with the next; in a cycle, also the last with the first
LARGE = 100  # minimum number of titles to include two chains and a cycle


@dataclass
class Franchises:
    """Titles in the order of their franchises, with their main characters as numbers.

    Args:
        casts: The main characters of each title.
        number: The number of each title's franchise.
        place: The position of each title in its franchise, from 0.
        n_characters: Number of characters.
    """

    casts: list[list[int]] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    n_characters: int = 0

    @classmethod
    def generate(cls, rng: np.random.Generator, n_titles: int) -> "Franchises":
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

    def new_characters(self, n: int) -> list[int]:
        """Return `n` characters that have not been used yet."""
        self.n_characters += n
        return list(range(self.n_characters - n, self.n_characters))

    def chain(self, size: int, *, closed: bool) -> list[list[int]]:
        """Return casts of which only neighbours share a character."""
        links = self.new_characters(size if closed else size - 1)
        if closed:
            return [[links[place - 1], links[place]] for place in range(size)]
        return [links[max(0, place - 1) : place + 1] for place in range(size)]

    def around_heroes(self, rng: np.random.Generator, size: int) -> list[list[int]]:
        """Return casts with the same hero, each with some of the same friends."""
        hero, *friends = self.new_characters(int(rng.integers(1, MOST + 1)))
        return [[hero, *(friend for friend in friends if rng.random() < 0.6)] for _ in range(size)]

    def add(self, rng: np.random.Generator, casts: list[list[int]]) -> None:
        number = self.n_franchises if self.number else 0
        for place, shared in enumerate(casts):
            self.casts.append(shared + self.new_characters(int(rng.integers(0, MOST - len(shared) + 1)) // 2))
            self.number.append(number)
            self.place.append(place)


SIZE = 64
COLD, WARM = np.array([40.0, 70.0, 215.0]), np.array([225.0, 70.0, 35.0])  # RGB, 0-255

Colour = tuple[int, int, int]


def portrait(warmth: float, rng: np.random.Generator) -> Image.Image:
    """Draw a face of `SIZE` x `SIZE` pixels, RGB.

    Args:
        warmth: Colour of the hair, from -1 (blue) to 1 (red).
        rng: Random generator for light, background, skin, eyes, mouth, position, and length of the hair.
    """
    hair = colour((COLD + (WARM - COLD) * (warmth + 1) / 2) * rng.uniform(0.8, 1.1))
    skin = colour(np.array([240.0, 205.0, 175.0]) * rng.uniform(0.55, 1.0))
    image = background(rng)
    pen = ImageDraw.Draw(image)
    x, y = SIZE / 2 + rng.uniform(-4, 4), SIZE / 2 + rng.uniform(-3, 5)
    wide, long = rng.uniform(17, 21), rng.uniform(22, 34)
    pen.ellipse((x - wide, y - 24, x + wide, y + 18), fill=hair)
    pen.rectangle((x - wide, y - 2, x + wide, y + long - 8), fill=hair)
    pen.ellipse((x - 13, y - 14, x + 13, y + 18), fill=skin)
    fringe = [(x - 14, y - 16), (x + 14, y - 16), *((x + 14 - 7 * step, y - rng.uniform(2, 9)) for step in range(5))]
    pen.polygon(fringe, fill=hair)
    face(pen, rng, x, y)
    pixels = np.asarray(image, dtype=np.float64) + rng.normal(0, 8, size=(SIZE, SIZE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def background(rng: np.random.Generator) -> Image.Image:
    """Draw a gradient between two dull colours."""
    top, bottom = rng.uniform(70, 210, size=(2, 3))
    share = np.linspace(0, 1, SIZE)[:, None, None]
    rows = np.broadcast_to(top + (bottom - top) * share, (SIZE, SIZE, 3))
    return Image.fromarray(rows.astype(np.uint8))


def face(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float) -> None:
    iris = colour(rng.uniform(20, 200, size=3))
    high = rng.uniform(2, 4)
    for side in (-6, 6):
        pen.ellipse((x + side - 2.5, y + 2 - high, x + side + 2.5, y + 2 + high), fill=iris, outline=(20, 20, 20))
    smile = rng.uniform(-3, 3)
    pen.line([(x - 4, y + 11), (x, y + 11 + smile), (x + 4, y + 11)], fill=(120, 40, 40))


def colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue
