"""Filters of runs by their settings, results or state, as in `--where model=svd --where "n_factors>=40"`."""

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from anirec.config.identity import flatten
from anirec.errors import UserError
from anirec.metrics.names import logged_name
from anirec.report import formatting as cells
from anirec.report.formatting import brief
from anirec.report.run_files import nested
from anirec.report.runs import Run

PATTERN = re.compile(r"\s*([^\s=!<>]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*")
ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
MISSING = object()
MOST_VALUES = 8  # named in an error message


def filter_runs(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """Return the runs that fulfil all conditions.

    Args:
        runs: Runs in any state.
        conditions: `key=value`, `key=one,other` (either), `key!=value`, or an order such as `key>=40`. A key is a
            choice (model, dataset, split, metrics, trainer), state, seed, sweep, a metric such as test/rmse, or a key
            of the config, in full or by its last part.

    Raises:
        UserError: A condition is malformed, no run has its key, or no run fulfils all of them.
    """
    kept = list(runs)
    for condition in conditions:
        found = PATTERN.fullmatch(condition)
        if not found:
            raise UserError(f"--where {condition}: expected key=value, key=one,other, key!=value or key>=number.")
        key, sign, wanted = found.groups()
        values = {id(run): value_of(run, key) for run in kept}
        if all(value is MISSING for value in values.values()):
            from anirec.config.compose import did_you_mean  # imports Hydra

            known = dict.fromkeys(name for run in kept for name in known_keys(run))
            raise UserError(f"--where {condition}: no run has {key}{did_you_mean(key, list(known)) or '.'}")
        kept = [run for run in kept if fulfils(values[id(run)], sign, wanted, condition)]
        if not kept:
            having = sorted({brief(value) for value in values.values() if value is not MISSING})
            near = difflib.get_close_matches(wanted, having, n=1)
            hint = f"did you mean {near[0]}?" if near else f"values of {key}: {cells.join_names(having, MOST_VALUES)}"
            raise UserError(f"--where {condition}: no run matches; {hint}")
    return kept


def value_of(run: Run, key: str) -> Any:
    """Return the value that a run has for a key; MISSING if it has none.

    Raises:
        UserError: The last part of a key names several keys of the config, and none of the model.
    """
    known = dict(about(run)) | run.metrics
    config = dict(flatten(run.config))
    if key in known:
        return known[key]
    if (metric := logged_name(key, "test", "val", among=run.metrics)) in run.metrics:
        return run.metrics[metric]
    if key in config:
        return config[key]
    places = [name for name in config if name.endswith(f".{key}")]
    places = [name for name in places if name.startswith("model.")] or places
    if len({str(config[name]) for name in places}) > 1:
        raise UserError(f"--where {key}: several keys end in it: {', '.join(places)}. Write one in full.")
    return config[places[0]] if places else MISSING


def about(run: Run) -> Iterable[tuple[str, Any]]:
    """Yield the choices, state, seed and sweep of a run."""
    choices = nested(run.provenance, "choices")
    for name, value in (choices if isinstance(choices, dict) else {}).items():
        yield name.partition("@")[0], value
    yield from (
        (name, run.provenance[name]) for name in ("model", "dataset", "seed", "sweep") if name in run.provenance
    )
    if run.state == "finished":
        yield "split", run.split_name
    yield "state", run.state


def known_keys(run: Run) -> list[str]:
    keys = [key for key, _ in flatten(run.config)]
    return [*(name for name, _ in about(run)), *run.metrics, *keys, *(key.rpartition(".")[2] for key in keys)]


def fulfils(value: Any, sign: str, wanted: str, condition: str) -> bool:
    """Return whether a value fulfils a condition; a run without the value fulfils only `!=`.

    >>> fulfils(80, "=", "20,80.0", ""), fulfils(0.1, "<", "0.2", ""), fulfils("svd", "!=", "bias", "")
    (True, True, True)
    """
    if sign in ORDER:
        limit, number = as_number(wanted), as_number(value)
        if limit is None:
            raise UserError(f"--where {condition}: {wanted} is not a number.")
        return number is not None and ORDER[sign](number, limit)
    is_equal = value is not MISSING and any(equals(value, one.strip()) for one in wanted.split(","))
    return is_equal if sign == "=" else not is_equal


def equals(value: Any, wanted: str) -> bool:
    one, other = as_number(value), as_number(wanted)
    if one is not None and other is not None:
        return one == other
    return brief(value, most=1000).casefold() == wanted.casefold()


def as_number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
