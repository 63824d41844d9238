"""Hints at the key or choice that a user most likely means by an unknown key."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from anirec.config.compose import conf_folder
from anirec.config.identity import is_within

ALMOST = 0.9  # similarity of two names of which one is a slip of the other, such as models and model
N_NAMED = 3  # keys or models of a hint at most


def suggest_key(key: str, config: Mapping[str, Any], *, typed: str = "") -> str:
    """Return the end of a sentence that suggests what an unknown key may mean; empty if nothing is close.

    A key of the same group with the last part that was typed comes first, then a key of the same name in any section of
    the config, then a key beside it of almost the same name, then a key of another model, then similar names.

    Args:
        key: Dotted key, such as lr or model.epoch.
        config: Composed config, as plain values.
        typed: The whole key, if `key` is the part of it up to the first one that does not exist.

    >>> config = {"seed": 1, "model": {"lr": 0.1, "training": {"epochs": 3}}}
    >>> suggest_key("lr", config), suggest_key("model.epoch", config), suggest_key("sed", config)
    ('; did you mean model.lr?', '; did you mean model.training.epochs?', '; did you mean seed?')
    >>> suggest_key("model.train", config)
    '; did you mean model.training?'
    >>> suggest_key("launcher", config), suggest_key("window", config)
    ('; did you mean hydra/launcher?', '; did you mean model.window, a key of model=transitions?')
    >>> suggest_key("model.training", {"model": {"epochs": 20}}, typed="model.training.epochs")
    '; did you mean model.epochs?'
    """
    known = list(keys_of(config))
    if same := [one for one in known if last_part(one) == last_part(typed) and is_within(one, key.partition(".")[0])]:
        return f"; did you mean {' or '.join(same[:N_NAMED])}?"
    parent, _, leaf = key.rpartition(".")
    within = [f"{parent}.{name}".lstrip(".") for name in section(config, parent)]
    known = list(dict.fromkeys([*within, *known]))
    known = [one for one in [*known, "hydra/launcher", "search/sampler", "search"] if one != key]
    longer = [one for one in within if parent and last_part(one).startswith(leaf)]
    equal = [one for one in known if last_part(one) == leaf] or longer
    almost = difflib.get_close_matches(leaf, map(last_part, within), n=1, cutoff=ALMOST)
    if not equal and not almost and (models := models_with(leaf)):
        more = f" and {len(models) - N_NAMED} others" if len(models) > N_NAMED else ""
        return f"; did you mean model.{leaf}, a key of model={', '.join(models[:N_NAMED])}{more}?"
    close = difflib.get_close_matches(leaf, map(last_part, known), n=1, cutoff=0.6)
    found = equal or [one for one in known if close and last_part(one) == close[0]][:1]
    return f"; did you mean {' or '.join(found[:N_NAMED])}?" if found else ""


def last_part(key: str) -> str:
    return key.replace("/", ".").rpartition(".")[2]


def section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping at a dotted key; empty if there is none."""
    node: Any = config
    for name in filter(None, key.split(".")):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}


def keys_of(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of nested mappings, those of the model first, without keys that name a class."""
    for name in sorted(config, key=lambda name: name != "model"):
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
            if isinstance(config[name], Mapping):
                yield from keys_of(config[name], f"{prefix}{name}.")


def models_with(key: str) -> list[str]:
    """Return the models whose own YAML sets a key."""
    paths = sorted((conf_folder() / "model").glob("*.yaml"))
    return [path.stem for path in paths if key in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]
