"""What can be known to be wrong with a composed config before any data is loaded."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from hydra import compose
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anirec.config.compose import conf_folder, first_line, nearest, not_yet_run, options, plain
from anirec.config.definitions import UnknownTargetError
from anirec.config.identity import nodes
from anirec.config.signatures import Signature, attribute, signature
from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, objectives, problem_with, problem_with_kind
from anirec.settings import Seed, SettingsError, problems, text

SELECT = ("best", "refit")
# Keys at the top that are no groups; what the others hold is checked with its target.
TOP: dict[str, Any] = {
    "seed": Seed,
    "objective": str | list[str] | None,
    "resume": bool,
    "tags": list[str | float],
    "select": str | None,
    "sweep": Mapping[str, bool],
    "paths": Mapping[str, str],
}
# What the run itself hands to a node's target, beside what its YAML says.
SUPPLIED = {"dataset": frozenset({"split", "cache"}), "trainer": frozenset({"logger", "callbacks"})}


def check(config: DictConfig) -> list[str]:
    """Every problem of one composed config."""
    try:
        content = plain(not_yet_run(config))
    except OmegaConfBaseException as error:
        return [f"{getattr(error, 'full_key', None) or 'config'}: {first_line(error)}"]
    if absent := list(groups(content)):
        return absent
    parts = (keys, targets, columns, splitting, measures, selecting)
    return list(dict.fromkeys(problem for part in parts for problem in part(content)))


@lru_cache(maxsize=1)
def top_level() -> list[str]:
    """The keys at the top of a config."""
    raw = plain(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)
    groups = [next(iter(entry)) for entry in raw.pop("defaults") if not isinstance(entry, str)]
    raw.pop("hydra")
    return [*raw, *(group for group in groups if " " not in group and "@" not in group)]


def groups(content: dict[str, Any]) -> Iterator[str]:
    """Parts of an experiment that are not there."""
    for group in ("dataset", "split", "model", "trainer", "metrics", "callbacks", "logger"):
        if not isinstance(content.get(group), dict):
            yield f"{group}={content.get(group)}: expected one of {', '.join(options(group))}"


def keys(content: dict[str, Any]) -> Iterator[str]:
    """Keys at the top that nothing reads, and values that do not fit."""
    known = top_level()
    for key, value in content.items():
        if key not in known:
            yield f"{key}: nothing reads this key{nearest(key, known)} There are: {', '.join(known)}"
        yield from problems(key, value, TOP.get(key, Any))


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
                yield f"{path}.{parameter.name}: missing; {target} needs it ({text(parameter.hint)})"
        else:
            yield from problems(f"{path}.{parameter.name}", given[parameter.name], parameter.hint)


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
    """What the YAML says it requires, or else what its target and the models that it blends declare."""
    if "requires" in node:
        return frozenset(node["requires"])
    blended = node.get("models")
    parts = [node, *(blended.values() if isinstance(blended, dict) else ())]
    return frozenset().union(*(declared(part, "requires") or () for part in parts))


def offered_columns(dataset: dict[str, Any]) -> frozenset[str] | None:
    """What the sources that the dataset reads, or else the dataset itself, declare; None if none does."""
    sources = [node for key in dataset for _, node in nodes(dataset[key], key)]
    found = [columns for node in sources if (columns := declared(node, "columns")) is not None]
    return frozenset().union(*found) if found else declared(dataset, "columns")


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


def splitting(content: dict[str, Any]) -> Iterator[str]:
    """Settings that a split refuses; to make one costs nothing."""
    try:
        instantiate(content["split"])
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError) and not isinstance(error.__cause__, SettingsError):
            yield str(error.__cause__)


def measures(content: dict[str, Any]) -> Iterator[str]:
    """Metrics that do not exist, and objectives that are no validation metrics of this run."""
    names = content["metrics"].get("names", [])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        yield f"metrics.names={names!r}: expected a list of metrics, such as [rmse, ndcg@10]"
        return
    kinds = declared(content["metrics"], "kinds")
    for name in names:
        if problem := problem_with(name) or (problem_with_kind(name, kinds) if kinds else ""):
            yield f"metrics.names: {name}: {problem}"
    objective = content["objective"]
    if list(problems("objective", objective, TOP["objective"])):
        return  # `keys` reports it
    chosen_by, allowed = objectives(objective), [f"val/{name}" for name in names if has_direction(name)]
    if objective is not None and not 0 < len(chosen_by) == len(set(chosen_by)):
        yield f"objective={objective}: expected a metric, a list of different metrics, or null"
    for name in chosen_by:
        if MetricName.parse(name).split == "test":
            yield f"objective={name}: choosing by the test set would spoil it; choose one of {', '.join(allowed)}"
        elif name not in allowed:
            close = nearest(name, allowed)
            yield f"objective={name}: this run does not measure it{close} It measures: {', '.join(allowed)}"
        elif content["split"].get("val") == 0:
            yield f"objective={name}: split.val=0 leaves nothing to validate on; set objective=null, or split.val > 0"


def selecting(content: dict[str, Any]) -> Iterator[str]:
    """How the best job of a sweep is chosen, and that there is something to choose it by."""
    select = content.get("select")
    if select is None:
        return
    if select not in SELECT:
        yield f"select={select}: there is no such way{nearest(str(select), SELECT)} There are: best, refit, null"
    elif content["objective"] is None:
        yield f"select={select}: without an objective there is nothing to choose by; set objective=val/…"
    elif isinstance(content["objective"], list) and "search" not in content:  # a search shows its Pareto front
        yield f"select={select}: several objectives have no common best; set select=null, then select --metric val/…"
    elif select == "refit" and "val" not in content["split"]:
        yield f"select=refit: split {short(content['split'])} has no share for validation (val) to train on"
