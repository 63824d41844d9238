"""Combinations of settings that branches reject; see `anirec.settings.Configurable`. Imported without torch."""

from collections.abc import Iterator, Mapping
from typing import Any

FROM_SCRATCH = ("tiny", "tiny_causal")  # encoders without pretrained weights


def check_text(settings: Mapping[str, Any]) -> Iterator[str]:
    frozen, encoder = settings["frozen"], settings["encoder"]
    yield from check_adaptation(settings)
    if frozen and settings["pooling"] == "attention":
        yield "frozen=true: pooling=attention cannot be trained on cached vectors; use mean"
    if frozen and encoder in FROM_SCRATCH:
        yield f"frozen=true: {encoder} has no pretrained weights and must be trained; use minilm"
    if settings["layers"] is not None and encoder in FROM_SCRATCH:
        yield f"layers={settings['layers']}: {encoder} always has two layers; use null"


def check_pictures(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from check_adaptation(settings)
    if settings["frozen"] and settings["encoder"] == "tiny":
        yield "frozen=true: tiny has no pretrained weights and must be trained; use efficientnet_lite0"


def check_adaptation(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield settings of the training of an encoder that contradict each other or would have no effect."""
    of_training = {name: settings.get(name) for name in ("trained_layers", "lora_rank")}
    given = [f"{name}={value}" for name, value in of_training.items() if value is not None]
    given += [f"{name}=true" for name in ("gradient_checkpointing", "compile") if settings.get(name)]
    if settings["frozen"] and given:
        yield f"frozen=true: the encoder is not trained, so {', '.join(given)} has no effect; set it to null or false"
    elif len([value for value in of_training.values() if value is not None]) > 1:
        yield f"trained_layers: {', '.join(given[:2])}: only one of the two can be used; set the other to null"
