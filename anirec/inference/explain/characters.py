"""Share of each character in a prediction, and heat maps over their portraits."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.features import picture_encoders
from anirec.features.branch import Members
from anirec.features.images import Gallery
from anirec.features.pictures import Pictures
from anirec.inference.explain.gradients import integrated_gradients
from anirec.inference.explain.readout import empty_vector, readout_of, score_values, with_values
from anirec.models.titles.base import ScoreModel

BLUR = 1 / 24  # of the height of a picture: radius of the blur, since effects of single pixels are noise
TOLERANCE = 0.05  # of the sum of a heat map; the kinks of picture encoders would need hundreds of steps for less
HEAT = 0.75  # opacity of the strongest effect


@dataclass(frozen=True)
class Character:
    """One character with its effect on the score by branch, in points."""

    name: str
    effects: Mapping[str, float]

    @property
    def effect(self) -> float:
        return sum(self.effects.values())


def member_effects(
    model: ScoreModel, branches: Sequence[str], parts: Mapping[str, Members]
) -> dict[str, NDArray[np.float64]]:
    """Return the effect of each member of some branches of a title, (M,) by branch, by integrated gradients.

    The baseline is a title of which no character is known, so that the effects sum to what the characters change.
    """
    read, found = readout_of(model), {}
    for name in branches:
        part = parts[name]
        x = part.values[0]
        baseline = empty_vector(model, name).to(x).expand_as(x)
        filled = torch.where(part.present[0][:, None], x, baseline)
        effects, _ = integrated_gradients(partial(score_values, read, parts, name), filled, baseline)
        found[name] = effects.sum(1).double().numpy()
    return found


@dataclass(frozen=True)
class HeatMap:
    """A portrait as the encoder reads it, and the effect of each pixel on the score.

    Args:
        name: Name of the character.
        pixels: (3, H, W) uint8.
        effects: Effect of each pixel in points, (H, W).
        total: Sum of the effects: the score minus that with a grey picture.
    """

    name: str
    pixels: NDArray[np.uint8]
    effects: NDArray[np.float64] = field(repr=False)
    total: float

    def png(self, *, zoom: int = 3) -> bytes:
        """Return the picture under a heat map, as PNG: red raises the score, blue lowers it."""
        from PIL import Image

        heat = blurred(self.effects, max(1.0, BLUR * self.effects.shape[0]))
        strength = np.abs(heat) / max(float(np.abs(heat).max()), 1e-12) * HEAT
        grey = self.pixels.mean(0)[..., None].repeat(3, 2)
        colour = np.where(heat[..., None] > 0, [214.0, 39.0, 40.0], [31.0, 119.0, 180.0])
        mixed = grey * (1 - strength[..., None]) + colour * strength[..., None]
        height, width = heat.shape
        both = np.concatenate([self.pixels.transpose(1, 2, 0), mixed.round().astype(np.uint8)], 1)
        scale = zoom if height < 128 else 1
        image = Image.fromarray(both).resize((2 * width * scale, height * scale), Image.Resampling.BILINEAR)
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def data_uri(self) -> str:
        return "data:image/png;base64," + b64encode(self.png()).decode()


def blurred(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, sigma))


class PortraitReader:
    """The picture encoder of a branch, trained or frozen."""

    def __init__(self, branch: Pictures, cache: Path) -> None:
        self.branch, self.cache = branch, cache
        self.encoder = (branch.load() if branch.frozen else branch.encoder).eval().requires_grad_(False)

    def pixels(self, paths: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return the pixels of an input as the encoder reads it, (3, H, W)."""
        gallery = Gallery([paths], self.branch.preprocessing, self.cache)
        return gallery.pixels(np.zeros(1, np.int64))[0][0]

    def vectors(self, normalised: Tensor) -> Tensor:
        return picture_encoders.vectors(self.encoder, self.branch.recipe.library, normalised, self.branch.output)


def heat_map(
    model: ScoreModel,
    name: str,
    parts: Mapping[str, Members],
    *,
    member: int,
    paths: tuple[str, ...],
    label: str,
    reader: PortraitReader,
) -> HeatMap:
    """Return the effect of each pixel of one portrait, by integrated gradients from a grey picture."""
    read, pixels = readout_of(model), reader.pixels(paths)
    x = reader.branch.preprocessing.normalised(torch.from_numpy(pixels))
    fixed = parts[name].values[0]

    def score(points: Tensor) -> Tensor:
        rows, vectors = fixed.expand(len(points), -1, -1), reader.vectors(points)
        return read(with_values(parts, name, torch.cat([rows[:, :member], vectors[:, None], rows[:, member + 1 :]], 1)))

    effects, total = integrated_gradients(score, x, torch.zeros_like(x), tolerance=TOLERANCE)
    return HeatMap(label, pixels, effects.sum(0).double().numpy(), total)
