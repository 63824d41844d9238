"""How numbers look in a table: as many digits as a reader compares, in units a reader thinks in."""

import math
from collections.abc import Iterable

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
