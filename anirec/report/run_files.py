"""Reading and validation of a run's JSON and YAML files, so that no damaged file can stop a report."""

import json
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from anirec.config.identity import flatten
from anirec.errors import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 50
KNOWN_AT_START = ("model", "dataset", "seed", *(f"identity.{key}" for key in ("experiment", "settings", "replicate")))
NEEDED = (*KNOWN_AT_START, "split.family")
PLAIN = (
    *("model", "dataset", "seed", "data.fingerprint", "git.commit", "identity.run", "identity.experiment"),
    *(f"split.{key}" for key in ("name", "family", "fingerprint")),
)
NUMBERS = ("wall_seconds", "fit_seconds", "peak_memory_mb")
MAPPINGS = ("split", "versions", "data", "git", "identity", "identity.settings", "identity.replicate")


RUN_FILES = "config.yaml and status.json"  # the files by which a run folder is recognised


def require_run(folder: Path) -> None:
    """Raise a UserError unless the folder is that of a run."""
    if not folder.is_dir():
        raise UserError(f"No such folder: {folder}")
    if not (folder / "config.yaml").is_file():
        newest = max(folder.glob("*/config.yaml"), key=lambda path: path.stat().st_mtime, default=None)
        hint = f" The newest run below it is {newest.parent}." if newest else ""
        raise UserError(f"No run in {folder}: expected {RUN_FILES}, as written by `anirec run`.{hint}")


class DamagedError(Exception):
    """A file of a run is missing or damaged; the message names the file and the problem."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a .json or .yaml file.

    Raises:
        DamagedError: If it is missing, cannot be read, or is not a mapping.
    """
    parse: Callable[[str], Any] = parsed_yaml if path.suffix == ".yaml" else parsed_json
    try:
        if not path.is_file():
            raise DamagedError(f"{path.name} is {'not a file' if path.exists() else 'missing'}")
        found = parse(path.read_text(encoding="utf-8"))
    except DamagedError:
        raise
    except Exception as error:  # on damaged files PyYAML may raise nearly any exception
        raise DamagedError(f"{path.name} is damaged: {type(error).__name__}: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise DamagedError(f"{path.name} is damaged: expected names and values")
    return found


def parsed_json(text: str) -> Any:
    found = json.loads(text)
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate can be read but not printed
    return found


def parsed_yaml(text: str) -> Any:
    """Parse YAML without aliases, with which a short file could expand beyond memory; runs never write them."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1}: an alias (*), which anirec never writes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")
    return yaml.load(text, Loader=LOADER)  # noqa: S506  (a safe loader, either way)


def read_run_config(path: Path) -> dict[str, Any]:
    config = read_mapping(path)
    if not isinstance(config.get("callbacks"), dict | None):
        raise DamagedError("config.yaml is damaged: callbacks: expected names and values")
    if wrong := [key for key, value in flatten(config) if type(value) is int and not is_finite_number(value)]:
        raise DamagedError(f"config.yaml is damaged: no finite number for {', '.join(wrong)}")
    return config


def read_provenance(path: Path) -> dict[str, Any]:
    """Read and validate provenance.json; that of an unfinished run may lack any key."""
    found = read_mapping(path)
    mappings = {key: nested(found, key) for key in MAPPINGS}
    split, versions = (mappings[key] if isinstance(mappings[key], dict) else {} for key in ("split", "versions"))
    plain = {key: nested(found, key) for key in PLAIN} | {f"versions.{key}": one for key, one in versions.items()}
    replicate = mappings["identity.replicate"]
    seeds = replicate if isinstance(replicate, dict) else {}
    numbers = {key: found.get(key) for key in NUMBERS}
    numbers |= {f"split.{key}": value for key, value in split.items() if key.startswith("n_")}
    wrong = [
        *(f"{key}: expected names and values" for key, value in mappings.items() if not isinstance(value, dict | None)),
        *(f"{key}: expected text or a whole number" for key, value in plain.items()
          if not isinstance(value, str | int | None)),
        *(f"identity.replicate.{key}: expected text or a finite number" for key, value in seeds.items()
          if not isinstance(value, str | None) and not is_finite_number(value)),
        *(f"{key}: expected a finite number" for key, value in numbers.items()
          if value is not None and not is_finite_number(value)),
    ]  # fmt: skip
    if wrong:
        raise DamagedError(f"{path.name} is damaged: {'; '.join(wrong)}")
    return found


def read_metrics(path: Path) -> dict[str, float]:
    metrics = read_mapping(path)
    if not metrics:
        raise DamagedError(f"{path.name} holds no metrics")
    if wrong := [name for name, value in metrics.items() if not is_finite_number(value)]:
        raise DamagedError(f"{path.name} is damaged: no finite number for {', '.join(wrong)}")
    return metrics


def is_finite_number(value: Any) -> bool:
    """Return whether a value is a finite number.

    >>> is_finite_number(0.5), is_finite_number(float("nan")), is_finite_number(10**400), is_finite_number("1")
    (True, False, False, False)
    """
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:
        return False


def nested(values: Any, key: str) -> Any:
    """Return the value of a dotted key; None if it is missing."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
