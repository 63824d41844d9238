"""A run's configuration as flat settings: where runs differ, and how to say so in few words."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

SOURCE = re.compile(r"(\w+)-[0-9a-f]{16}")  # in an identity: a dataset's name and the fingerprint of its content
MAX_VALUE = 24
Settings = dict[str, Any]


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
    >>> told("model.lr"), told("trainer.max_epochs"), told("dataset._target_"), told("dataset.joined.metadata")
    ('lr', 'trainer.max_epochs', 'dataset', 'joined')
    """
    if key.startswith("dataset.joined."):  # named as on the command line
        return "joined"
    return key.removeprefix("model.").removesuffix("._target_")


def brief(value: Any) -> str:
    """As in YAML, and no longer than a table bears.

    >>> brief(None), brief(0.02), brief("anirec.data.titles.datamodule.Corpus"), brief(["rmse", "mae", "r2", "ndcg@10"])
    ('null', '0.02', 'Corpus', '["rmse", "mae", "r2", "…')
    """
    value = f"{value:g}" if isinstance(value, float) else value
    if isinstance(value, str) and (source := SOURCE.fullmatch(value)):
        value = source[1]
    if isinstance(value, str) and value.startswith("anirec."):
        value = value.rpartition(".")[2]
    text = value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
