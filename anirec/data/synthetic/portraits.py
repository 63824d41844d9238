"""Portraits drawn as small images: the colour of the hair tells the planted signal, everything else is chance."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 64
COLD, WARM = np.array([40.0, 70.0, 215.0]), np.array([225.0, 70.0, 35.0])  # RGB, 0-255

Colour = tuple[int, int, int]


def portrait(warmth: float, rng: np.random.Generator) -> Image.Image:
    """A face of `SIZE` x `SIZE` pixels, RGB.

    Args:
        warmth: Colour of the hair, -1 (blue) to 1 (red).
        rng: Decides light, background, skin, eyes, mouth, place, and the length of the hair.
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
    """A gradient between two dull colours."""
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
