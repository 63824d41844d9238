"""The branch of pictures: portraits of characters as vectors of an image encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.data.prepare.fingerprint import digest
from anirec.features import adaptation, picture_encoders
from anirec.features.cache import Selection, Store
from anirec.features.encoded import Encoded, InputRows
from anirec.features.images import RULES, Gallery
from anirec.features.picture_encoders import PictureRecipe
from anirec.features.preprocessing import Preprocessing
from anirec.notices import warn
from anirec.settings import PositiveInt

BATCH = 64  # pictures


class Pictures(Encoded):
    """The vectors of a title's portraits.

    Args:
        encoder: `tiny` (small, trained from scratch), `efficientnet_lite0`, `timm/<name>`, a local folder, or a
            downloaded model of the Hugging Face hub.
        layout: "pasted" puts all portraits of a title side by side in one picture, as published; "each" makes every
            portrait a member.
        output: The pooled vector of the encoder, the first channel of its last feature map (49 numbers for ResNet-50),
            or the complete feature map.
        frozen: Do not train the encoder; its vectors are computed once and cached on disk.
        trained_layers: Number of last layers to train; null trains all.
        compile: Whether to use torch.compile.

    Raises:
        UserError: The settings contradict each other.
    """

    constraints = "anirec.features.constraints:check_pictures"
    requires = frozenset({"portrait"})

    def __init__(
        self,
        *,
        encoder: str,
        layout: Literal["pasted", "each"],
        output: Literal["pooled", "first_channel", "all"],
        frozen: bool,
        trained_layers: PositiveInt | None,
        compile: bool,  # noqa: A002
    ) -> None:
        super().__init__()
        self.encoder_name, self.layout, self.output = encoder, layout, output
        self.frozen, self.trained_layers, self.compiled = frozen, trained_layers, compile

    def fit(self, titles: pl.DataFrame) -> None:
        self.recipe = picture_encoders.recipe_of(self.encoder_name)
        self.create(self.recipe, None if self.frozen or self.encoder_name == "tiny" else self.load())

    def load(self) -> nn.Module:
        return picture_encoders.load_picture_encoder(self.encoder_name, self.recipe)

    def create(self, recipe: PictureRecipe, encoder: nn.Module | None = None) -> None:
        """Create the submodules; without `encoder`, a new encoder of the same architecture."""
        self.recipe, self.preprocessing = recipe, Preprocessing(recipe.library, recipe.preprocessing)
        self.width = picture_encoders.output_width(recipe, self.output, self.preprocessing.size)
        if self.frozen:
            return
        self.encoder = (
            encoder or picture_encoders.build_picture_encoder(recipe)
        ).train()  # pretrained models are loaded in evaluation mode
        if self.trained_layers is not None:
            adaptation.train_last(self.encoder, self.trained_layers)
        if self.compiled:
            self.encoder.compile()

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        self.places, inputs = InputRows.of(self.inputs_of(titles))
        gallery = Gallery(inputs, self.preprocessing, cache)
        self.arrays = self.frozen_vectors(gallery, cache, device) if self.frozen else self.pixels(gallery, cache)
        self.cost = np.ones(len(inputs), np.int64)
        problems = gallery.problems(self.arrays.notes())
        self.places = self.places.without(gallery.absent)
        self.coverage = {
            "titles": len(titles),
            "with_picture": self.places.n_present(),
            "pictures": len(gallery.paths),
            "unreadable_pictures": len(problems),
        }
        if problems:
            examples = "; ".join(f"{path}: {reason}" for path, reason in list(problems.items())[:3])
            n_paths = len(gallery.paths)
            warn(f"{len(problems)} of {n_paths} pictures cannot be read and are left out, such as {examples}")

    def inputs_of(self, titles: pl.DataFrame) -> list[list[tuple[str, ...] | None]]:
        """Return the pictures of each title: one tuple of all paths, or one tuple per path."""
        if "portraits" not in titles.columns:
            warn(f"The {len(titles)} titles have no column portraits: all portraits are treated as unknown")
            return [[None]] * len(titles)
        rows = [row or [] for row in titles["portraits"].to_list()]
        if self.layout == "each":
            return [[(path,) if path else None for path in row] for row in rows]
        return [[tuple(path for path in row if path) or None] for row in rows]

    def rules(self) -> dict[str, Any]:
        """Return the settings that pixels depend on."""
        return {"preprocessing": self.preprocessing.settings, "rules": RULES}

    def pixels(self, gallery: Gallery, cache: Path) -> Selection:
        """Return the pixels of all pictures, for an encoder that is trained."""
        store = Store(cache / "pixels" / digest(self.rules()), (3, *self.preprocessing.size), np.uint8)
        return gallery.select(store, gallery.pixels, batch=BATCH, what="reading pictures")

    def frozen_vectors(self, gallery: Gallery, cache: Path, device: torch.device) -> Selection:
        """Return the vectors of all pictures, for a frozen encoder."""

        def vectors(encoder: nn.Module, inputs: NDArray[np.int64]) -> tuple[Tensor, list[str]]:
            pixels, notes = gallery.pixels(inputs)
            return self.embed(encoder, pixels), notes

        weights = picture_encoders.encoder_folder(self.encoder_name)
        store = self.store(weights, cache, {**self.rules(), "output": self.output})
        what = f"{self.encoder_name}: pictures"
        return gallery.select(store, self.computing(vectors, device), batch=BATCH, what=what)

    def encode(self, inputs: NDArray[np.int64]) -> Tensor:
        return self.embed(self.encoder, self.arrays.take(inputs))

    def embed(self, encoder: nn.Module, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the vectors (k, width) float32 of pixels (k, 3, H, W)."""
        on_device = torch.from_numpy(pixels).to(next(encoder.parameters()).device)
        normalised = self.preprocessing.normalised(on_device)
        return picture_encoders.vectors(encoder, self.recipe.library, normalised, self.output)

    def description(self) -> dict[str, Any]:
        return {"encoder": self.encoder_name, "fingerprint": self.fingerprint, **self.recipe.description()}

    def restore(self, description: Mapping[str, Any]) -> None:
        self.fingerprint = description["fingerprint"]
        self.create(PictureRecipe(**{name: description[name] for name in PictureRecipe.__dataclass_fields__}))
