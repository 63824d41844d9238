"""A run's configuration as flat settings: where runs differ, and how to say so in few words."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# What does not change a result: parts of a config, and callbacks that only watch, or end what would not be kept.
INCIDENTAL = frozenset({"run", "paths", "resume", "tags", "logger", "search", "sweep", "experiment"})
WATCHING = frozenset({"checkpoint", "progress_bar", "prune"})
MAX_VALUE = 24
Settings = dict[str, Any]


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys.

    >>> dict(flat({"model": {"_target_": "SVD", "lr": 0.005}, "objective": "val/rmse"}))
    {'model._target_': 'SVD', 'model.lr': 0.005, 'objective': 'val/rmse'}
    """
    if not isinstance(config, dict) or not config:
        yield prefix, config
        return
    for key, value in config.items():
        yield from flat(value, f"{prefix}.{key}" if prefix else str(key))


def deciding(config: Settings) -> Settings:
    """The config without what is incidental.

    >>> deciding({"seed": 1, "paths": {"data": "/data"}, "callbacks": {"progress_bar": {}, "swa": {}}})
    {'seed': 1, 'callbacks': {'swa': {}}}
    """
    kept = {key: value for key, value in config.items() if key not in INCIDENTAL}
    callbacks = config.get("callbacks") or {}
    return {**kept, "callbacks": {key: value for key, value in callbacks.items() if key not in WATCHING}}


def differing(settings: Sequence[Settings]) -> list[str]:
    """Keys that not all have, or not with the same value."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if any(key not in one or one[key] != settings[0].get(key) for one in settings)]


def described(settings: Settings, keys: Iterable[str]) -> list[str]:
    """`n_factors=20` for what belongs to the model, with its section for the rest; unset ones are left out.

    >>> described({"model.n_factors": 20, "trainer.max_epochs": 3}, ["model.n_factors", "model.lr"])
    ['n_factors=20']
    """
    return [f"{told(key)}={brief(settings[key])}" for key in keys if key in settings]


def told(key: str) -> str:
    """
    >>> told("model.lr"), told("trainer.max_epochs"), told("dataset._target_")
    ('lr', 'trainer.max_epochs', 'dataset')
    """
    return key.removeprefix("model.").removesuffix("._target_")


def brief(value: Any) -> str:
    """As in YAML, and no longer than a table bears.

    >>> brief(None), brief(0.02), brief("anirec.data.corpus.Corpus"), brief(["rmse", "mae", "r2", "ndcg@10"])
    ('null', '0.02', 'Corpus', '["rmse", "mae", "r2", "…')
    """
    value = f"{value:g}" if isinstance(value, float) else value
    if isinstance(value, str) and value.startswith("anirec."):
        value = value.rpartition(".")[2]
    text = value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
