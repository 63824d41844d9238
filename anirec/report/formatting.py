"""Text of numbers, metrics and settings in tables: significant digits, units and short names."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from anirec.memory import format_size
from anirec.metrics.names import has_direction, lower_is_better

MISSING = "-"
TO = "–"  # noqa: RUF001  (an en dash, unlike the sign of a negative end)


def heading(name: str) -> str:
    """Return the metric with an arrow for its better direction, without its split if that is the test set.

    >>> heading("test/rmse"), heading("val/ndcg@10/cold_users"), heading("test/interval_coverage")
    ('rmse ↓', 'val/ndcg@10/cold_users ↑', 'interval_coverage')
    """
    plain = name.removeprefix("test/")
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


def memory(mebibytes: float | None) -> str:
    """Return an amount of memory that is given in MiB.

    >>> memory(812.4), memory(4200)
    ('852 MB', '4.4 GB')
    """
    return MISSING if mebibytes is None else format_size(mebibytes * 2**20)


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


SECTIONS = ("model.", "trainer.", "metrics.", "callbacks.", "dataset.")


def short_key(key: str) -> str:
    """Return the key as shown in labels: without its section, unless that is needed to understand it.

    >>> short_key("model.lr"), short_key("trainer.max_epochs"), short_key("split.test"), short_key("dataset._target_")
    ('lr', 'max_epochs', 'split.test', 'dataset')
    >>> short_key("dataset.joined.metadata")
    'joined'
    """
    if key.startswith("dataset.joined."):  # named as on the command line
        return "joined"
    key = key.removesuffix("._target_")
    return next((key.removeprefix(section) for section in SECTIONS if key.startswith(section)), key)


def brief(value: Any, most: int = MAX_VALUE) -> str:
    """Return a value as on the command line, cut to a length that fits a table.

    >>> brief(None), brief(0.02), brief(True), brief("anirec.data.titles.datamodule.Corpus")
    ('null', '0.02', 'true', 'Corpus')
    >>> brief(["genres", "type"]), brief([256.0, 128.0, 64.0, 32.0, 16.0, 8.0])
    ('[genres,type]', '[256,128,64,32,16,8]')
    >>> brief(["genres", "type", "studios", "source"])
    '[genres,type,studios,so…'
    """
    if isinstance(value, str) and (source := SOURCE.fullmatch(value)):
        text = source[1]
    elif isinstance(value, str):
        text = value.rpartition(".")[2] if value.startswith("anirec.") else value
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list):
        text = f"[{','.join(brief(one, most) for one in value)}]"
    else:
        text = json.dumps(value, default=str, skipkeys=True)
    return text if len(text) <= most else text[: most - 1] + "…"


def join_names(names: Sequence[str], most: int = 4) -> str:
    """Join names to a phrase, shortened to `most` items.

    >>> join_names(["a"]), join_names(["a", "b", "c"]), join_names(["a", "b", "c", "d", "e", "f"])
    ('a', 'a, b and c', 'a, b, c and 3 more')
    """
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def counted(n: int, what: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{n:,} {what}{'s' * (n != 1)}"
