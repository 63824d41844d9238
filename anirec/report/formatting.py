"""How numbers look in a table: as many digits as a reader compares, in units a reader thinks in."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from anirec.metrics.names import MetricName, has_direction, lower_is_better

MISSING = "-"
TO = "–"  # noqa: RUF001  (an en dash, unlike the sign of a negative end)


def heading(name: str) -> str:
    """Metric and direction, if it has one.

    >>> heading("test/rmse"), heading("test/ndcg@10/cold_users"), heading("test/interval_coverage")
    ('rmse ↓', 'ndcg@10/cold_users ↑', 'interval_coverage')
    """
    plain = name.removeprefix(f"{MetricName.parse(name).split}/")
    if not has_direction(name):
        return plain
    return f"{plain} {'↓' if lower_is_better(name) else '↑'}"


def decimals(values: Iterable[float]) -> int:
    """Places that give the largest of a column five significant digits, at most four places.

    >>> decimals([0.0912, 0.2351]), decimals([1.1391]), decimals([843.25]), decimals([12034.0])
    (4, 4, 2, 0)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 4 if largest < 1 else max(0, 4 - math.floor(math.log10(largest)))


def number(value: float | None, places: int) -> str:
    return MISSING if value is None else f"{value:.{places}f}"


def spread(mean: float | None, std: float | None, places: int) -> str:
    """Mean, and deviation where there are several runs.

    >>> spread(1.13914, 0.00071, 4), spread(1.13914, None, 4)
    ('1.1391 ±0.0007', '1.1391')
    """
    return number(mean, places) if std is None else f"{number(mean, places)} ±{std:.{places}f}"


def duration(seconds: float | None) -> str:
    """In the largest unit that it fills.

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
    """As MB below a thousand of them.

    >>> memory(812.4), memory(4200)
    ('812 MB', '4.1 GB')
    """
    if megabytes is None:
        return MISSING
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


def interval(ends: tuple[float, float] | None, places: int) -> str:
    """From low to high.

    >>> interval((1.13291, 1.14536), 4) == f"1.1329{TO}1.1454"
    True
    """
    return MISSING if ends is None else TO.join(number(end, places) for end in ends)


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
