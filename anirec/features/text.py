"""The branch of texts: synopses or descriptions as vectors of a transformer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.features import adaptation, encoders, text_encoders
from anirec.features.branch import TOKEN_POOLING, AttentionPool
from anirec.features.cache import Selection, key_of
from anirec.features.constraints import FROM_SCRATCH
from anirec.features.encoded import Encoded, InputRows
from anirec.features.text_encoders import Recipe
from anirec.features.tokens import Reading, Tokens, texts_of
from anirec.settings import PositiveInt

FROZEN_BATCH = 64  # texts


class Text(Encoded):
    """The vectors of a title's synopsis or of its characters' descriptions.

    Args:
        column: "synopsis" or "descriptions"; a title may have many of the latter.
        encoder: `tiny` or `tiny_causal` (small, trained from scratch, with a tokenizer fitted on the training texts),
            `minilm`, a local folder, or a downloaded model of the Hugging Face hub.
        layers: Number of layers of the encoder to use, from the first; null for all. Layers in the middle often
            represent a text better than the last ones, which are specialised in the pretraining task.
        max_tokens: Longer texts are truncated to this number of tokens, including special ones; >= 4.
        pooling: The vector of a text: the hidden state at position 0, that of the last token, the mean over all tokens,
            or a learned weighted mean.
        padding: The side on which short texts are padded. With "left", position 0 of a short text is padding.
        join: Whether to join all texts of a title with spaces into one; otherwise, each text is a member.
        frozen: Do not train the encoder; its vectors are computed once and cached on disk.
        trained_layers: Number of last layers to train; null trains all.
        lora_rank: Rank of low-rank updates to train instead of the weights; null for none.
        gradient_checkpointing: Whether to save memory by recomputing activations in the backward pass.
        compile: Whether to use torch.compile.

    Raises:
        UserError: The settings contradict each other.
    """

    constraints = "anirec.features.constraints:check_text"

    def __init__(
        self,
        *,
        column: Literal["synopsis", "descriptions"],
        encoder: str,
        layers: PositiveInt | None,
        max_tokens: Annotated[int, Ge(4)],
        pooling: Literal["first", "last", "mean", "attention"],
        padding: Literal["left", "right"],
        join: bool,
        frozen: bool,
        trained_layers: PositiveInt | None,
        lora_rank: PositiveInt | None,
        gradient_checkpointing: bool,
        compile: bool,  # noqa: A002
    ) -> None:
        super().__init__()
        self.column, self.encoder_name, self.max_tokens, self.join = column, encoder, max_tokens, join
        self.pooling, self.padding, self.frozen, self.layers = pooling, padding, frozen, layers
        self.trained_layers, self.lora_rank = trained_layers, lora_rank
        self.gradient_checkpointing, self.compiled = gradient_checkpointing, compile
        self.requires = frozenset({column.removesuffix("s") if column == "descriptions" else column})

    def fit(self, titles: pl.DataFrame) -> None:
        if self.frozen:
            self.width = text_encoders.hidden_size(encoders.read_encoder_config(self.locate()))
        elif self.encoder_name in FROM_SCRATCH:
            self.create(self.from_scratch(titles))
        else:
            encoder = self.load()
            self.create(self.recipe, encoder)

    def locate(self) -> Path:
        return encoders.find_encoder(self.encoder_name, text_encoders.KNOWN)

    def load(self) -> nn.Module:
        folder = self.locate()
        self.recipe = text_encoders.read_recipe(folder, self.layers)
        return text_encoders.load_text_encoder(folder, self.layers)

    def from_scratch(self, titles: pl.DataFrame) -> Recipe:
        texts = InputRows.of(texts_of(titles, self.column, join=self.join))[1]
        if not texts:
            raise UserError(f"encoder={self.encoder_name}: none of {len(titles)} training titles has a {self.column}")
        make = text_encoders.tiny if self.encoder_name == "tiny" else text_encoders.tiny_causal
        return make(texts, self.max_tokens)

    def create(self, recipe: Recipe, encoder: nn.Module | None = None) -> None:
        """Create the submodules; without `encoder`, a new encoder of the same architecture."""
        self.recipe, self.width = recipe, recipe.width
        self.encoder = (
            encoder or text_encoders.build_text_encoder(recipe)
        ).train()  # pretrained models are loaded in evaluation mode
        if self.pooling == "attention":
            self.attention = AttentionPool(self.width)
        adaptation.adapt(
            self.encoder,
            trained_layers=self.trained_layers,
            lora_rank=self.lora_rank,
            gradient_checkpointing=self.gradient_checkpointing,
        )
        if self.compiled:
            self.encoder.compile(dynamic=True)
        self.reading(recipe)

    def look(self, titles: pl.DataFrame, *, cache: Path, device: torch.device) -> None:
        self.places, texts = InputRows.of(texts_of(titles, self.column, join=self.join))
        self.coverage = {"titles": len(titles), "with_text": self.places.n_present(), "texts": len(texts)}
        if self.frozen:
            self.arrays = self.frozen_vectors(texts, cache, device)
        else:
            self.tokens = Tokens.of(texts, self.recipe.tokenizer, self.max_tokens)
            self.cost = self.tokens.lengths
            self.coverage["cut_texts"] = self.tokens.n_cut
            self.places = self.places.without(self.cost == 0)

    def frozen_vectors(self, texts: Sequence[str], cache: Path, device: torch.device) -> Selection:
        """Return the vectors of all texts, for a frozen encoder."""

        def vectors(encoder: nn.Module, inputs: NDArray[np.int64]) -> tuple[Tensor, list[str]]:
            tokens = Tokens.of([texts[i] for i in inputs], self.recipe.tokenizer, self.max_tokens)
            return self.reading(self.recipe).vectors(encoder, tokens, np.arange(len(inputs))), [""] * len(inputs)

        settings = ("layers", "max_tokens", "pooling", "padding")
        store = self.store(self.locate(), cache, {name: getattr(self, name) for name in settings})
        keys, cost = [key_of(text.encode()) for text in texts], np.array([len(text) for text in texts], np.int64)
        what = f"{self.encoder_name}: {self.column}"
        return store.select(keys, self.computing(vectors, device), cost=cost, batch=FROZEN_BATCH, what=what)

    def encode(self, inputs: NDArray[np.int64]) -> Tensor:
        return self.reading(self.recipe).vectors(self.encoder, self.tokens, inputs)

    def reading(self, recipe: Recipe) -> Reading:
        """Return how texts are read.

        As published, position 0 of a text padded on the left depends on the longest text of its batch. A frozen vector
        must not depend on it, so that all texts are padded to `max_tokens`.
        """
        if self.max_tokens > recipe.longest:
            raise UserError(
                f"max_tokens={self.max_tokens}: {self.encoder_name} reads at most {recipe.longest} tokens of a text"
            )
        on_left = self.padding == "left"
        return Reading(
            pool=self.attention if self.pooling == "attention" else TOKEN_POOLING[self.pooling],
            pad=recipe.pad,
            side=self.padding,
            pad_batch=on_left,
            width=self.max_tokens if on_left and self.frozen else 1,
            longest=recipe.longest,
        )

    def description(self) -> dict[str, Any]:
        if self.frozen:
            return {"encoder": self.encoder_name, "fingerprint": self.fingerprint, "width": self.width}
        return {"encoder": self.encoder_name, **vars(self.recipe)}

    def restore(self, description: Mapping[str, Any]) -> None:
        if self.frozen:
            self.width, self.fingerprint = description["width"], description["fingerprint"]
        else:
            self.create(Recipe(**{name: description[name] for name in Recipe.__dataclass_fields__}))
