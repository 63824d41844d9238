"""Pictures: what a title's characters look like, seen by an image encoder."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.features import adaptation, encoders, picture_encoders
from anirec.features.branch import Branch, Members
from anirec.features.frozen import Selection, Store, store_name
from anirec.features.gallery import Gallery
from anirec.features.images import RULES
from anirec.features.picture_encoders import PictureRecipe
from anirec.features.places import Places, members_of
from anirec.features.preprocessing import Preprocessing

LOG = logging.getLogger(__name__)
BATCH = 64  # pictures


class Pictures(Branch):
    """The vectors of a title's portraits.

    Args:
        encoder: `tiny` (small, made from scratch), `efficientnet_lite0`, `timm/<name>`, a local folder, or a model of
            the hub that was downloaded.
        layout: All of a title's portraits side by side in one picture, as published, or each a member by itself.
        output: The encoder's pooled vector, the first channel of its last map (49 numbers for ResNet-50), or all of it.
        frozen: Do not train the encoder; its vectors are computed once and kept on disk.
        trained_layers: Train only so many of the last layers; null trains all.
        compile: Let torch.compile speed the encoder up.

    Raises:
        UserError: The settings contradict each other.
    """

    requires = frozenset({"portrait"})

    def __init__(
        self,
        *,
        encoder: str,
        layout: Literal["pasted", "each"],
        output: Literal["pooled", "first_channel", "all"],
        frozen: bool,
        trained_layers: int | None,
        compile: bool,  # noqa: A002
    ) -> None:
        super().__init__()
        self.encoder_name, self.layout, self.output = encoder, layout, output
        self.frozen, self.trained_layers, self.compiled = frozen, trained_layers, compile
        self.fingerprint: str | None = None
        adaptation.check_settings(frozen, trained_layers, None)
        if frozen and encoder == "tiny":
            raise UserError("frozen=true: tiny starts from nothing, so it must learn; use efficientnet_lite0")
        if frozen and compile:
            raise UserError("frozen=true: compile is for training; make it false")

    def fit(self, titles: pl.DataFrame) -> None:
        recipe = picture_encoders.recipe_of(self.encoder_name)
        if self.frozen or self.encoder_name == "tiny":
            self.create(recipe)
        else:
            self.create(recipe, picture_encoders.load(self.encoder_name, recipe))

    def create(self, recipe: PictureRecipe, encoder: nn.Module | None = None) -> None:
        """Make the submodules; without `encoder`, its architecture with new weights."""
        self.recipe, self.preprocessing = recipe, Preprocessing(recipe.library, recipe.preprocessing)
        self.width = picture_encoders.width_of(recipe, self.output, self.preprocessing.size)
        if self.frozen:
            return
        self.encoder = (encoder or picture_encoders.build(recipe)).train()  # what is loaded comes in the other mode
        if self.trained_layers is not None:
            adaptation.train_last(self.encoder, self.trained_layers)
        if self.compiled:
            self.encoder.compile()

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        self.places, inputs = Places.of(self.inputs_of(titles))
        gallery = Gallery(inputs, self.preprocessing)
        self.arrays = self.seen(gallery, cache, device)
        problems = gallery.problems(self.arrays.notes())
        self.places = self.places.without(gallery.absent)
        self.coverage = {
            "titles": len(titles),
            "with_picture": self.places.n_present(),
            "pictures": len(gallery.paths),
            "unreadable_pictures": len(problems),
        }
        if problems:
            named = "; ".join(f"{path}: {reason}" for path, reason in list(problems.items())[:3])
            LOG.warning(
                "%d of %d pictures cannot be read and are left out, such as %s",
                len(problems),
                len(gallery.paths),
                named,
            )

    def inputs_of(self, titles: pl.DataFrame) -> list[list[tuple[str, ...] | None]]:
        """Every title's pictures: one tuple of all paths, or a tuple for each."""
        if "portraits" not in titles.columns:
            LOG.warning("The %d titles have no portraits: they count as unknown for all", len(titles))
            return [[None]] * len(titles)
        rows = [row or [] for row in titles["portraits"].to_list()]
        if self.layout == "each":
            return [[(path,) if path else None for path in row] for row in rows]
        return [[tuple(path for path in row if path) or None] for row in rows]

    def seen(self, gallery: Gallery, cache: Path, device: torch.device) -> Selection:
        """What `forward` reads: the vectors of a frozen encoder, else the bytes of pixels."""
        identity = {"preprocessing": self.preprocessing.settings, "rules": RULES}
        if not self.frozen:
            store = Store(cache / "pixels" / store_name(identity), (3, *self.preprocessing.size), np.uint8)
            return gallery.select(store, gallery.pixels, batch=BATCH, what="reading pictures")
        found = encoders.fingerprint(picture_encoders.find(self.encoder_name), cache)
        encoders.check_fingerprint(self.encoder_name, self.fingerprint, found)
        self.fingerprint = found
        identity |= {"weights": found, "output": self.output}
        store = Store(cache / "embeddings" / store_name(identity), (self.width,), np.float32)
        loaded: list[nn.Module] = []

        def compute(inputs: NDArray[np.int64]) -> tuple[NDArray[Any], list[str]]:
            pixels, notes = gallery.pixels(inputs)
            if not loaded:
                encoder = picture_encoders.load(self.encoder_name, self.recipe)
                loaded.append(encoder.eval().requires_grad_(False).to(device))
            with torch.inference_mode():
                return self.encode(loaded[0], torch.from_numpy(pixels).to(device)).cpu().numpy(), notes

        return gallery.select(store, compute, batch=BATCH, what=f"{self.encoder_name}: pictures")

    def encode(self, encoder: nn.Module, pixels: Tensor) -> Tensor:
        """(k, width) float32 of uint8 (k, 3, H, W)."""
        return picture_encoders.vectors(
            encoder, self.recipe.library, self.preprocessing.normalised(pixels), self.output
        )

    def lengths(self) -> NDArray[np.int64]:
        if self.frozen:
            return np.ones(len(self.places), np.int64)
        return self.places.total(np.ones(len(self.arrays.place), np.int64))

    def forward(self, index: Tensor) -> Members:
        numbers, place = self.places.batch(index.cpu().numpy())
        if self.frozen:
            return members_of(torch.from_numpy(self.arrays.take(numbers)).to(index.device), place)
        if not len(numbers) and len(self.arrays.place):
            numbers = np.zeros(1, np.int64)  # seen, but by nobody: every process must have a gradient to share
        device = next(self.encoder.parameters()).device
        if not len(numbers):
            return members_of(torch.zeros(0, self.width, device=device), place)
        return members_of(self.encode(self.encoder, torch.from_numpy(self.arrays.take(numbers)).to(device)), place)

    def description(self) -> dict[str, Any]:
        return {"encoder": self.encoder_name, "fingerprint": self.fingerprint, **self.recipe.description()}

    def restore(self, description: Mapping[str, Any]) -> None:
        self.fingerprint = description["fingerprint"]
        self.create(PictureRecipe(**{name: description[name] for name in PictureRecipe.__dataclass_fields__}))
