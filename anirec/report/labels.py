"""Short names of the configurations of one table: the model, and only the settings that differ.

`svd n_factors=80 lr=0.03`; a name that would be too long is numbered, `svd-3`, and explained in a legend.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from anirec.config.identity import PROTOCOL
from anirec.report.formatting import Settings, brief, differing_keys, short_key

MOST = 36  # characters of a name: fits a table of 80 columns with a metric, its interval and the time
MOST_IN_LEGEND = 120  # characters of a value
TARGET = "_target_"


class Label(NamedTuple):
    """Name of a configuration in a table.

    Attributes:
        name: The model with the settings that differ, or the number if that is too long.
        number: The model with a number by age, such as `svd-3`; the model alone if there is one configuration of it.
        differences: Settings that distinguish it from others of its model, such as `lr=0.03`.
    """

    name: str
    number: str
    differences: list[str]


def labels(models: Sequence[str], settings: Sequence[Settings]) -> list[Label]:
    """Return distinct labels of configurations, which are given by model and settings, oldest first.

    >>> [label.name for label in labels(["svd", "svd", "bias"], [{"model.lr": 0.1}, {"model.lr": 0.2}, {}])]
    ['svd lr=0.1', 'svd lr=0.2', 'bias']
    """
    keys_of = {model: telling_keys(model, models, settings) for model in dict.fromkeys(models)}
    found, n_before = [], Counter[str]()
    for model, one in zip(models, settings, strict=True):
        n_before[model] += 1
        number = f"{model}-{n_before[model]}" if models.count(model) > 1 else model
        name = " ".join([model, *describe_settings(one, keys_of[model])])
        found.append(Label(name, number, describe_settings(one, keys_of[model], MOST_IN_LEGEND)))
    n_equal = Counter(label.name for label in found)
    return [
        label if n_equal[label.name] == 1 and len(label.name) <= MOST else label._replace(name=label.number)
        for label in found
    ]


def telling_keys(model: str, models: Sequence[str], settings: Sequence[Settings]) -> list[str]:
    """Return the keys that distinguish the configurations of a model, the model's own first.

    Settings that change the meaning of metrics are equal within a table.
    """
    alike = [one for name, one in zip(models, settings, strict=True) if name == model]
    return [key for key in distinguishing_keys(alike) if key not in PROTOCOL]


def distinguishing_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the keys that differ, the model's own first, without those that follow from another.

    A key follows from an earlier one with equal values (a YAML lets one setting refer to another), or from the class
    that it configures.
    """
    keys = sorted(differing_keys(settings), key=lambda key: not key.startswith("model."))
    columns = {key: [str(one.get(key)) if key in one else None for one in settings] for key in keys}
    return [
        key
        for place, key in enumerate(keys)
        if columns[key] not in [columns[other] for other in keys[:place]]
        and not any(follows(columns[key], columns[target]) for target in targets_around(key) if target in columns)
    ]


def targets_around(key: str) -> list[str]:
    """Return the keys of the classes in which a key lies.

    >>> targets_around("callbacks.early_stopping.epochs")
    ['callbacks._target_', 'callbacks.early_stopping._target_']
    """
    parts = key.split(".")
    around = [".".join([*parts[:n], TARGET]) for n in range(1, len(parts))]
    return [one for one in around if one != key]


def follows(column: Sequence[Any], other: Sequence[Any]) -> bool:
    """Return whether the values of a column are a function of those of another."""
    return len(set(zip(other, column, strict=True))) == len(set(other))


def describe_settings(settings: Settings, keys: Iterable[str], most: int | None = None) -> list[str]:
    """Return settings as `n_factors=20`; missing keys are skipped, and a class stands for the part that it builds.

    >>> describe_settings({"model.training.lr": 0.1, "split.test": 0.2}, ["model.training.lr", "split.test", "model.a"])
    ['lr=0.1', 'split.test=0.2']
    >>> describe_settings({"callbacks.early_stopping._target_": "anirec.tracking.callbacks.Patience"},
    ...                   ["callbacks.early_stopping._target_"])
    ['early_stopping']
    """
    keys = list(keys)
    shown = [key for key in keys if key in settings]
    short = {key: short_key(key) for key in keys}
    last = Counter(name.rpartition(".")[2] for name in short.values())
    texts = []
    for key in shown:
        is_part = key.startswith("callbacks.") and key.endswith(TARGET)
        if is_part and any(other != key and other.startswith(key.removesuffix(TARGET)) for other in shown):
            continue  # its settings name it
        leaf = short[key].rpartition(".")[2]
        name = leaf if last[leaf] == 1 and not key.startswith(("split.", "callbacks.")) else short[key]
        texts.append(name if is_part else f"{name}={brief(settings[key], *([most] if most else []))}")
    return texts
