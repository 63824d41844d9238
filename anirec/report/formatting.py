"""Text of numbers, metrics and settings in tables: significant digits, units and short names."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from anirec.metrics.names import MetricName, has_direction, lower_is_better

MISSING = "-"
TO = "–"  # noqa: RUF001  (an en dash, unlike the sign of a negative end)


def heading(name: str) -> str:
    """Return the metric without its split, with an arrow for its better direction.

    >>> heading("test/rmse"), heading("test/ndcg@10/cold_users"), heading("test/interval_coverage")
    ('rmse ↓', 'ndcg@10/cold_users ↑', 'interval_coverage')
    """
    plain = name.removeprefix(f"{MetricName.parse(name).split}/")
    if not has_direction(name):
        return plain
    return f"{plain} {'↓' if lower_is_better(name) else '↑'}"


def decimals(values: Iterable[float]) -> int:
    """Return the decimal places that give the largest value of a column five significant digits, at most four.

    >>> decimals([0.0912, 0.2351]), decimals([1.1391]), decimals([843.25]), decimals([12034.0])
    (4, 4, 2, 0)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 4 if largest < 1 else max(0, 4 - math.floor(math.log10(largest)))


def number(value: float | None, places: int) -> str:
    return MISSING if value is None else f"{value:.{places}f}"


def spread(mean: float | None, std: float | None, places: int) -> str:
    """Return the mean, with ± the standard deviation if there are several runs.

    >>> spread(1.13914, 0.00071, 4), spread(1.13914, None, 4)
    ('1.1391 ±0.0007', '1.1391')
    """
    return number(mean, places) if std is None else f"{number(mean, places)} ±{std:.{places}f}"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest unit that is at least 1.

    >>> duration(7.31), duration(75), duration(4000), duration(None)
    ('7.3 s', '1.2 min', '1.1 h', '-')
    """
    if seconds is None:
        return MISSING
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def memory(megabytes: float | None) -> str:
    """Return an amount of memory in MB below 1000 MB, else in GB.

    >>> memory(812.4), memory(4200)
    ('812 MB', '4.1 GB')
    """
    if megabytes is None:
        return MISSING
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


def interval(ends: tuple[float, float] | None, places: int) -> str:
    """Return the ends of an interval, joined by an en dash.

    >>> interval((1.13291, 1.14536), 4) == f"1.1329{TO}1.1454"
    True
    """
    return MISSING if ends is None else TO.join(number(end, places) for end in ends)


def probability(p: float) -> str:
    """Return a p-value as text.

    >>> probability(0.0004), probability(0.0312)
    ('<0.001', '0.031')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


SOURCE = re.compile(r"(\w+)-[0-9a-f]{16}")  # a source in an identity: dataset name and fingerprint of its content
MAX_VALUE = 24
Settings = dict[str, Any]


def differing_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the keys whose values differ between settings, or that some of them lack."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if any(key not in one or one[key] != settings[0].get(key) for one in settings)]


def describe_settings(settings: Settings, keys: Iterable[str]) -> list[str]:
    """Return settings as `n_factors=20`, with the section for keys outside the model; missing keys are skipped.

    >>> describe_settings({"model.n_factors": 20, "trainer.max_epochs": 3}, ["model.n_factors", "model.lr"])
    ['n_factors=20']
    """
    return [f"{short_key(key)}={brief(settings[key])}" for key in keys if key in settings]


def short_key(key: str) -> str:
    """Return the key as shown in labels.

    >>> short_key("model.lr"), short_key("trainer.max_epochs"), short_key("dataset._target_")
    ('lr', 'trainer.max_epochs', 'dataset')
    >>> short_key("dataset.joined.metadata")
    'joined'
    """
    if key.startswith("dataset.joined."):  # named as on the command line
        return "joined"
    return key.removeprefix("model.").removesuffix("._target_")


def brief(value: Any) -> str:
    """Return a value as in YAML, cut to a length that fits a table.

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
