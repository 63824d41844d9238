"""Composes configs and checks them: everything that can be known to be wrong before any data is loaded."""

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import platformdirs
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anirec.errors import UserError
from anirec.metrics.names import MetricName, problem_with
from anirec.signature import Signature, UnknownTargetError, attribute, fits, signature

OmegaConf.register_new_resolver("user_cache", lambda: platformdirs.user_cache_dir("anirec"), replace=True)
OmegaConf.register_new_resolver("process_id", os.getpid, replace=True)

# What the run itself hands to a node's target, beside what its YAML says.
SUPPLIED = {"dataset": frozenset({"split", "cache"}), "trainer": frozenset({"logger", "callbacks"})}
# What does not change a result.
INCIDENTAL = frozenset({"run", "paths", "resume", "tags", "logger", "callbacks", "search", "experiment"})


def conf_folder() -> Path:
    """The folder of YAML files: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "conf"


def config_hash(config: DictConfig) -> str:
    """Eight hex digits of everything that can change a result."""
    kept = {key: value for key, value in plain(not_yet_run(config)).items() if key not in INCIDENTAL}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:8]


def validate(overrides: Sequence[str], *, config_dir: str | None = None) -> int:
    """Compose and check every job that the overrides describe; return how many there are.

    Raises:
        UserError: With all problems of all jobs.
    """
    search_path = [f"hydra.searchpath=[{Path(config_dir).resolve().as_uri()}]"] if config_dir else []
    if config_dir and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        problems: dict[str, list[str]] = {}
        jobs = expand(overrides)
        for job in jobs:
            for problem in problems_of_job([*search_path, *job]):
                problems.setdefault(problem, []).append(" ".join(job))
    if problems:
        raise UserError(report(problems, len(jobs)))
    return len(jobs)


def report(problems: dict[str, list[str]], n_jobs: int) -> str:
    """Every problem once, with the jobs it spoils where not all have it."""
    lines = []
    for problem, jobs in problems.items():
        lines.append(f"- {problem}")
        if len(jobs) < n_jobs:
            lines.append(f"    in {len(jobs)} of {n_jobs} jobs: {jobs[0]}{' …' if len(jobs) > 1 else ''}")
    return "\n".join([f"The config has {len(problems)} problem{'s' if len(problems) > 1 else ''}:", *lines])


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The jobs of a multirun: every combination of the values that a sweep lists.

    >>> expand(["model=bias,svd", "seed=1"])
    [['model=bias', 'seed=1'], ['model=svd', 'seed=1']]
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(f"{first_line(error)}\nAn override is written key=value, such as model.damping=1") from None
    axes = []
    for override in parsed:
        if override.is_sweep_override() and override.is_discrete_sweep():
            key = override.get_key_element()
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            axes.append([override.input_line or ""])
    return [list(job) for job in product(*axes)]


def problems_of_job(overrides: list[str]) -> list[str]:
    """Compose one job. Overrides that cannot be applied are reported and left out, to find the other problems too."""
    problems: list[str] = []
    while True:
        try:
            return problems + check(compose("config", overrides))
        except (HydraException, OmegaConfBaseException) as error:
            culprit = next((o for o in overrides if blames(error, o)), None)
            problems.append(explained(error, culprit))
            if culprit is None:
                return problems
            overrides = [o for o in overrides if o != culprit]


def blames(error: Exception, override: str) -> bool:
    key, _, value = override.lstrip("+~").partition("=")
    text = str(error)
    return f"'{key}'" in text or f"'{key}/{value}'" in text or f"{key}={value}" in text


def explained(error: Exception, override: str | None) -> str:
    """What Hydra says of an override, and the nearest right name."""
    if override is None:
        return first_line(error)
    key, _, value = override.lstrip("+~").partition("=")
    choices = options(key)
    if choices and value not in choices:
        return f"{key}={value}: no such choice{nearest(value, choices)} There are: {', '.join(choices)}"
    base = compose("config")
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(base, parent) if parent else base
    known = [str(name) for name in node] if isinstance(node, DictConfig) else []
    if leaf in known:
        return f"{override}: {first_line(error)}"
    place = f"in {parent}" if parent else "at the top"
    return f"{override}: there is no key {leaf} {place}{nearest(leaf, known)} There are: {', '.join(known)}"


def options(group: str) -> list[str]:
    """The choices of a config group, the user's own included; empty if there is no such group."""
    loader = GlobalHydra.instance().config_loader()
    return sorted(loader.get_group_options(group)) if group in loader.list_groups("") else []


def nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "."


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def check(config: DictConfig) -> list[str]:
    """Every problem of one composed config."""
    try:
        content = plain(not_yet_run(config))
    except OmegaConfBaseException as error:
        return [first_line(error)]
    problems = [problem for part in (keys, targets, columns, measures) for problem in part(content)]
    return list(dict.fromkeys(problems))


def not_yet_run(config: DictConfig) -> DictConfig:
    """A copy with something in the places that the start of a run fills in."""
    return OmegaConf.merge(config, {"run": {"folder": "run", "name": "run"}})  # type: ignore[return-value]


def plain(config: Any, *, resolve: bool = True) -> dict[str, Any]:
    """The config as dictionaries and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve))


@lru_cache(maxsize=1)
def top_level() -> dict[str, Any]:
    """The keys at the top of a config, with their defaults; None for a group."""
    raw = plain(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)
    groups = [next(iter(entry)) for entry in raw.pop("defaults") if not isinstance(entry, str)]
    raw.pop("hydra")
    return {**raw, **{group: None for group in groups if " " not in group}}


def keys(content: dict[str, Any]) -> Iterator[str]:
    """Keys at the top that nothing reads, and values of another type than the default."""
    for key, value in content.items():
        default = top_level().get(key)
        if key not in top_level():
            yield f"{key}: nothing reads this key{nearest(key, list(top_level()))} There are: {', '.join(top_level())}"
        elif default is not None and value is not None and type(value) is not type(default):
            yield f"{key}={value!r}: expected {type(default).__name__}, not {type(value).__name__}"


def targets(content: dict[str, Any]) -> Iterator[str]:
    """Arguments that a target does not take, lacks, or wants of another type."""
    for path, node in nodes(content):
        target = node.get("_target_")
        if not isinstance(target, str):
            continue
        try:
            found = signature(target)
        except UnknownTargetError as error:
            yield f"{path}._target_: {target}: {error}"
            continue
        yield from arguments(path, node, found)


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping in the config, with its dotted path."""
    if isinstance(node, dict):
        if path:
            yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nodes(value, f"{path}[{index}]")


def arguments(path: str, node: dict[str, Any], found: Signature) -> Iterator[str]:
    target = node["_target_"].rpartition(".")[2]
    given = {key: value for key, value in node.items() if not (key.startswith("_") and key.endswith("_"))}
    known = [parameter.name for parameter in found.parameters]
    supplied = SUPPLIED.get(path, frozenset())
    for key in given:
        if key not in known and not found.open:
            takes = f"It takes: {', '.join(name for name in known if name not in supplied)}" if known else ""
            yield f"{path}.{key}: {target} takes no such argument{nearest(key, known)} {takes}".strip()
    for parameter in found.parameters:
        if parameter.name not in given:
            if (
                parameter.required
                and parameter.name not in supplied
                and not (node.get("_partial_") or "_args_" in node)
            ):
                yield f"{path}.{parameter.name}: missing; {target} needs it ({parameter.annotation})"
        elif not isinstance(given[parameter.name], dict) and not fits(given[parameter.name], parameter.annotation):
            value = given[parameter.name]
            yield f"{path}.{parameter.name}={value!r}: expected {parameter.annotation}, not {type(value).__name__}"


def columns(content: dict[str, Any]) -> Iterator[str]:
    """Columns that the model or the split needs and the dataset lacks."""
    offered = offered_columns(content["dataset"])
    if offered is None:
        return
    for part in ("model", "split"):
        needed = required_columns(content[part])
        if missing := sorted(needed - offered):
            datasets = fitting("dataset", partial(offers, needed=needed))
            choices = fitting(part, partial(needs_only, offered=offered))
            yield (
                f"{part} {short(content[part])} needs {', '.join(missing)}, which the dataset does not have. "
                f"Datasets that have it: {datasets}. Choices of {part} for this dataset: {choices}."
            )


def offers(dataset: dict[str, Any], *, needed: frozenset[str]) -> bool:
    return needed <= (offered_columns(dataset) or frozenset())


def needs_only(node: dict[str, Any], *, offered: frozenset[str]) -> bool:
    return required_columns(node) <= offered


def required_columns(node: dict[str, Any]) -> frozenset[str]:
    return declared(node, "requires") or frozenset()


def offered_columns(dataset: dict[str, Any]) -> frozenset[str] | None:
    """What the source that the dataset reads, or else the dataset itself, declares; None if neither does."""
    return declared(dataset.get("source", dataset), "columns")


def declared(node: Any, name: str) -> frozenset[str] | None:
    """A class attribute of the node's target; None if there is no target, or none that can be found."""
    try:
        return attribute(node["_target_"], name)
    except (KeyError, TypeError, UnknownTargetError):
        return None


def short(node: dict[str, Any]) -> str:
    return str(node.get("_target_", "?")).rpartition(".")[2]


def fitting(group: str, condition: Callable[[Any], bool]) -> str:
    """The choices of a group whose node satisfies a condition."""
    found = []
    for option in options(group):
        try:
            content = plain(compose("config", [f"{group}={option}"])[group], resolve=False)
        except (HydraException, OmegaConfBaseException):
            continue
        if condition(content):
            found.append(option)
    return ", ".join(found) or "none"


def measures(content: dict[str, Any]) -> Iterator[str]:
    """Metrics that do not exist, and an objective that is no validation metric of this run."""
    names = content["metrics"].get("names", [])
    for name in names:
        if problem := problem_with(name):
            yield f"metrics.names: {name}: {problem}"
    objective = content["objective"]
    if objective is None:
        return
    allowed = [f"val/{name}" for name in names]
    if MetricName.parse(objective).split == "test":
        yield f"objective={objective}: choosing by the test set would spoil it; choose one of {', '.join(allowed)}"
    elif objective not in allowed:
        close = nearest(objective, allowed)
        yield f"objective={objective}: this run does not measure it{close} It measures: {', '.join(allowed)}"
    elif content["split"].get("val") == 0:
        yield f"objective={objective}: split.val=0 leaves nothing to validate on; set objective=null, or split.val > 0"
