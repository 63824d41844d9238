"""Preprocessing of pictures for an encoder in two steps: resizing and cropping to bytes, then normalisation.

Only the bytes are cached and moved to the device, since normalised float32 pixels are four times as large.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


class Preprocessing:
    """The preprocessing defined by a data config of timm or an image processor of transformers.

    Args:
        library: "timm" or "transformers".
        settings: The settings in `PictureRecipe.preprocessing`.
    """

    def __init__(self, library: str, settings: Mapping[str, Any]) -> None:
        self.library, self.settings = library, dict(settings)

    @cached_property
    def resized(self) -> Any:
        """Function from a picture to a resized uint8 tensor (3, H, W)."""
        if self.library == "timm":
            from timm.data import create_transform

            settings = {**self.settings, "input_size": tuple(self.settings["input_size"])}
            return create_transform(**settings, normalize=False)
        processor = self.processor

        def resized(image: "Image") -> Tensor:
            pixels: Tensor = processor(image, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
            return pixels[0]

        return resized

    @cached_property
    def processor(self) -> Any:
        """Image processor of transformers, created from its settings only."""
        import transformers
        from transformers.image_processing_utils import BaseImageProcessor

        name = self.settings["class"]
        kind = getattr(transformers, name, None)
        if not (isinstance(kind, type) and issubclass(kind, BaseImageProcessor)):
            raise UserError(f"transformers has no image processor {name}")
        return kind.from_dict({key: value for key, value in self.settings.items() if key != "class"})

    def bytes_of(self, image: "Image") -> NDArray[np.uint8]:
        """Return the resized and cropped pixels of a picture, (3, H, W).

        Raises:
            UserError: The preprocessing does more than resize, crop and normalise.
        """
        pixels = self.resized(image)
        if pixels.dtype != torch.uint8:
            raise UserError(
                f"This encoder's preprocessing returns {pixels.dtype} before normalisation; expected bytes. "
                "Use another encoder."
            )
        return pixels.numpy()

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the encoder's input."""
        from PIL import Image

        _, height, width = self.bytes_of(Image.new("RGB", (300, 400))).shape
        return height, width

    @cached_property
    def enough(self) -> tuple[int, int]:
        """Width and height beyond which the detail of a picture is lost in resizing."""
        return (4 * max(self.size),) * 2

    def normalised(self, pixels: Tensor) -> Tensor:
        """Convert uint8 pixels (k, 3, H, W) to normalised float32 of the same shape, on the same device."""
        scale, *shift = self.scaling
        mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in shift)
        return (pixels.float() * scale - mean) / std

    @cached_property
    def scaling(self) -> tuple[float, list[float], list[float]]:
        """Factor for bytes, then the mean to subtract and the deviation to divide by, per channel."""
        if self.library == "timm":
            return 1 / 255, list(self.settings["mean"]), list(self.settings["std"])
        settings = self.settings
        factor = settings["rescale_factor"] if settings.get("do_rescale") else 1.0
        normalises = settings.get("do_normalize")
        return factor, *(
            (list(settings[k]) for k in ("image_mean", "image_std")) if normalises else ([0.0] * 3, [1.0] * 3)
        )
