"""Checks of a composed config that need no data: keys, arguments, ranges, columns, metrics and objectives."""

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Literal

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anirec.config.compose import (
    conf_folder,
    did_you_mean,
    first_line,
    options,
    read_choice,
    to_dict,
    with_placeholders,
)
from anirec.config.definitions import UnknownTargetError, inherits
from anirec.config.hints import suggest_key
from anirec.config.identity import config_nodes
from anirec.config.signatures import Parameter, Signature, attribute, declarations, signature
from anirec.errors import UserError
from anirec.metrics.names import MetricName, has_direction, is_ranking, objectives, problem_with, problem_with_kind
from anirec.models.constraints import rejected_parameters
from anirec.settings import (
    Count,
    NonNegative,
    Positive,
    PositiveInt,
    Seed,
    SettingsError,
    contradictions,
    describe_type,
    problems,
)

SELECT = ("best", "refit")
EXTRAS = frozenset({"implicit"})  # packages of models that are extras of the same name
# Types of the top-level keys that are not groups. Groups are checked against the signature of their target.
TOP_LEVEL: dict[str, Any] = {
    "seed": Seed,
    "objective": str | list[str] | None,
    "warm_start": str | None,
    "resume": bool,
    "tags": list[str | float],
    "select": str | None,
    "checkpoints": Literal["all", "best", "none"],
    "sweep": Mapping[str, bool],
    "paths": Mapping[str, str],
}
# Ranges of the arguments of Lightning's trainer, whose annotations give their types only.
TRAINER: dict[str, Any] = {
    "accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"],
    "devices": PositiveInt | Literal["auto", -1] | list[Count],
    "num_nodes": PositiveInt,
    **dict.fromkeys(("limit_train_batches", "limit_test_batches"), Positive | None),
    "limit_val_batches": NonNegative | None,  # 0: no validation, which needs objective=null
    "max_epochs": PositiveInt | None,
    "min_epochs": PositiveInt | None,
    "accumulate_grad_batches": PositiveInt,
    "gradient_clip_val": Positive | None,
    "log_every_n_steps": Count | None,
    "check_val_every_n_epoch": PositiveInt | None,
    "deterministic": bool | Literal["warn"] | None,
}
ONE_PASS, MANUAL, SVD = (
    "anirec.models.one_pass.OnePass",
    "anirec.models.base.ManualOptimization",
    "anirec.models.ratings.svd.SVD",
)
# Arguments that the run passes to the target of a node, in addition to its YAML.
OWN = {
    "trainer": (Parameter("threads", PositiveInt | None, required=False),)
}  # keys of a node that the run reads itself
SUPPLIED = {"dataset": frozenset({"split", "cache"}), "trainer": frozenset({"logger", "callbacks"})}


def check_config(config: DictConfig, choices: Mapping[str, str] | None = None) -> list[str]:
    """Return all problems of one composed config, one line each.

    Args:
        config: Composed config.
        choices: The chosen YAML file of each group, which messages name.
    """
    names = {group: f"{group}={choice}" for group, choice in (choices or {}).items()}
    try:
        content = to_dict(with_placeholders(config))
    except OmegaConfBaseException as error:
        return [f"{getattr(error, 'full_key', None) or 'config'}: {first_line(error)}"]
    if absent := list(missing_groups(content)):
        return absent
    parts = (
        check_keys(content),
        check_targets(content),
        check_columns(content, names),
        check_features_in_time(content, names),
        check_trainer(content, names),
        check_split(content),
        check_metrics(content),
        check_select(content, names),
    )
    return list(dict.fromkeys(problem for part in parts for problem in part))


@lru_cache(maxsize=1)
def top_level_keys() -> list[str]:
    """Return the top-level keys of a config."""
    raw = to_dict(OmegaConf.load(conf_folder() / "config.yaml"), resolve=False)
    groups = [next(iter(entry)) for entry in raw.pop("defaults") if not isinstance(entry, str)]
    raw.pop("hydra")
    return [*raw, *(group for group in groups if " " not in group and "@" not in group)]


def missing_groups(content: dict[str, Any]) -> Iterator[str]:
    """Yield a problem for each required group that has no choice."""
    for group in ("dataset", "split", "model", "trainer", "metrics", "callbacks", "logger"):
        if not isinstance(content.get(group), dict):
            yield f"{group}={content.get(group)}: expected one of {', '.join(options(group))}"


def check_keys(content: dict[str, Any]) -> Iterator[str]:
    """Yield unknown top-level keys, and values of the wrong type."""
    known = top_level_keys()
    for key, value in content.items():
        if key not in known:
            yield f"{key}: unknown key{suggest_key(key, content) or '. Known keys: ' + ', '.join(known)}"
        yield from problems(key, value, TOP_LEVEL.get(key, Any))


def check_targets(content: dict[str, Any]) -> Iterator[str]:
    """Yield unknown, missing and mistyped arguments of every `_target_`."""
    for path, node in config_nodes(content):
        target = node.get("_target_")
        if not isinstance(target, str):
            continue
        try:
            found = signature(target)
        except UnknownTargetError as error:
            package = target.partition(".")[0]
            install = f". Install it: pip install 'anirec[{package}]'" if package in EXTRAS else ""
            yield f"{path}._target_: {target}: {error}{install}"
            continue
        yield from check_arguments(path, node, found)
        if target.startswith("sklearn."):
            yield from check_estimator(path, node)


def arguments_of(node: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a node that are arguments of its target."""
    return {key: value for key, value in node.items() if not (key.startswith("_") and key.endswith("_"))}


def unknown_arguments(path: str, node: dict[str, Any], found: Signature) -> list[str]:
    """Return the arguments of a node that its target does not have."""
    known = {parameter.name for parameter in (*found.parameters, *OWN.get(path, ()))}
    return [] if found.open else [key for key in arguments_of(node) if key not in known]


def unknown_settings(content: dict[str, Any]) -> list[str]:
    """Return the dotted keys of all arguments that their targets do not have; all targets must exist."""
    nodes = [(path, node) for path, node in config_nodes(content) if isinstance(node.get("_target_"), str)]
    return [
        f"{path}.{key}" for path, node in nodes for key in unknown_arguments(path, node, signature(node["_target_"]))
    ]


def check_arguments(path: str, node: dict[str, Any], found: Signature) -> Iterator[str]:
    target = node["_target_"].rpartition(".")[2]
    given = arguments_of(node)
    parameters = (*found.parameters, *OWN.get(path, ()))
    known = [parameter.name for parameter in parameters]
    supplied = SUPPLIED.get(path, frozenset())
    for key in unknown_arguments(path, node, found):
        takes = f"Arguments: {', '.join(name for name in known if name not in supplied)}" if known else ""
        yield f"{path}.{key}: {target} has no such argument{did_you_mean(key, known)} {takes}".strip()
    wrong: list[str] = []
    for parameter in parameters:
        hint = TRAINER.get(parameter.name, parameter.hint) if path == "trainer" else parameter.hint
        if parameter.name not in given:
            if (
                parameter.required
                and parameter.name not in supplied
                and not (node.get("_partial_") or "_args_" in node)
            ):
                yield f"{path}.{parameter.name}: missing; {target} requires it ({describe_type(parameter.hint)})"
        else:
            wrong += problems(f"{path}.{parameter.name}", given[parameter.name], hint)
    yield from wrong
    if not wrong and given.keys() >= {parameter.name for parameter in found.parameters if parameter.required}:
        declared = declarations(node["_target_"], "constraints")
        yield from (
            f"{path}.{problem}"
            for constraints in filter(None, declared)
            for problem in contradictions(constraints, given)
        )


def check_estimator(path: str, node: dict[str, Any]) -> Iterator[str]:
    """Yield the parameters that an estimator of scikit-learn rejects; it is imported and created, which is cheap."""
    try:
        estimator = instantiate(node)
    except InstantiationException:
        return  # `check_arguments` reports it
    if hasattr(estimator, "get_params"):
        yield from rejected_parameters(path, estimator)


def check_columns(content: dict[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield columns that the model or the split needs and the dataset lacks."""
    offered = offered_columns(content["dataset"])
    if offered is None:
        return
    for part in ("model", "split"):
        needed = required_columns(content[part])
        if missing := sorted(needed - offered):
            datasets = matching_choices("dataset", partial(offers, needed=needed))
            fitting = matching_choices(part, partial(needs_only, offered=offered))
            dataset = names.get("dataset", "the dataset")
            yield (
                f"{names.get(part, part)} needs {', '.join(missing)}, which {dataset} lacks. "
                f"Datasets that have it: {datasets}. Choices of {part} that work with this dataset: {fitting}."
            )


def check_features_in_time(content: dict[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield features that are known only after the test rows, for a split in time."""
    if not declared_by(content["split"], "in_time"):
        return
    from anirec.data.schema import KNOWN_LATER

    for path, node in config_nodes(content["model"], "model"):
        columns = node.get("columns")
        if isinstance(columns, list) and (
            later := sorted(KNOWN_LATER.intersection(name for name in columns if isinstance(name, str)))
        ):
            split = names.get("split", "a split in time")
            yield (
                f"{path}.columns: {', '.join(later)} leak the future under {split}: the dump has today's values, which "
                "were not known when the test rows were new. Leave them out, or use a split that is not in time."
            )


def offers(dataset: dict[str, Any], *, needed: frozenset[str]) -> bool:
    return needed <= (offered_columns(dataset) or frozenset())


def needs_only(node: dict[str, Any], *, offered: frozenset[str]) -> bool:
    return required_columns(node) <= offered


def required_columns(node: dict[str, Any]) -> frozenset[str]:
    """Return the columns that a node requires: by its YAML, or else by its class and the models that it blends."""
    if "requires" in node:
        return frozenset(node["requires"])
    blended = node.get("models")
    parts = [node, *(blended.values() if isinstance(blended, dict) else ())]
    return frozenset().union(*(declared_by(part, "requires") or () for part in parts))


def offered_columns(dataset: dict[str, Any]) -> frozenset[str] | None:
    """Return the columns that the dataset's sources, or else the dataset itself, declare; None if unknown."""
    sources = [node for key in dataset for _, node in config_nodes(dataset[key], key)]
    found = [columns for node in sources if (columns := columns_of(node)) is not None]
    return frozenset().union(*found) if found else declared_by(dataset, "columns")


def columns_of(source: Any) -> frozenset[str] | None:
    """Return the columns that the class of a source declares, or computes from the settings; None if unknown."""
    if function := declared_by(source, "columns_by"):
        columns: frozenset[str] = pkgutil.resolve_name(str(function))(source)
        return columns
    return declared_by(source, "columns")


def declared_by(node: Any, name: str) -> frozenset[str] | None:
    """Return a class attribute of the node's target; None if there is no target, or it cannot be found."""
    try:
        return attribute(node["_target_"], name)
    except (KeyError, TypeError, UnknownTargetError):
        return None


def matching_choices(group: str, condition: Callable[[Any], bool]) -> str:
    """Return the choices of a group of anirec whose config satisfies a condition, separated by commas."""
    found = []
    for option in options(group):
        if (conf_folder() / group / f"{option}.yaml").is_file() and condition(read_choice(group, option)):
            found.append(option)
    return ", ".join(found) or "none"


def check_trainer(content: dict[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield settings of the trainer that have no effect on the model, or that it does not support."""
    model, trainer = content["model"], content["trainer"]
    target, name_of_model = str(model.get("_target_")), names.get("model", "the model")
    if inherits(target, MANUAL):
        for name, default in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
            if (value := trainer.get(name, default)) != default:
                yield f"trainer.{name}={value}: no effect on {name_of_model}, which has no PyTorch optimiser; remove it"
    value = trainer.get("max_epochs")
    if inherits(target, ONE_PASS) and "epochs" not in model and type(value) is int and value > 1:
        yield f"trainer.max_epochs={value}: no effect on {name_of_model}, which is fitted in one epoch; remove it"
    in_one_process = any(inherits(str(node.get("_target_")), SVD) for _, node in config_nodes(model, "model"))
    for name in ("devices", "num_nodes"):
        value = trainer.get(name)
        if in_one_process and type(value) is int and value > 1:
            yield f"trainer.{name}={value}: {name_of_model} trains in one process; set trainer.{name}=1"


def check_split(content: dict[str, Any]) -> Iterator[str]:
    """Yield combinations of settings that the split rejects, by instantiating it, which is cheap."""
    try:
        instantiate(content["split"])
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError) and not isinstance(error.__cause__, SettingsError):
            yield str(error.__cause__)


def check_metrics(content: dict[str, Any]) -> Iterator[str]:
    """Yield unknown metrics, and objectives that are not validation metrics of this run."""
    names = content["metrics"].get("names", [])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        yield f"metrics.names={names!r}: expected a list of metrics, such as [rmse, ndcg@10]"
        return
    kinds = declared_by(content["metrics"], "kinds")
    if len(set(names)) < len(names):
        twice = dict.fromkeys(name for name in names if names.count(name) > 1)
        yield f"metrics.names: {', '.join(twice)}: named more than once"
    for name in names:
        if problem := problem_with(name) or (problem_with_kind(name, kinds) if kinds else ""):
            yield f"metrics.names: {name}: {problem}"
    objective = content["objective"]
    yield from check_implicit(content, names)
    if list(problems("objective", objective, TOP_LEVEL["objective"])):
        return  # `check_keys` reports it
    chosen_by, allowed = objectives(objective), [f"val/{name}" for name in names if has_direction(name)]
    if objective is not None and not 0 < len(chosen_by) == len(set(chosen_by)):
        yield f"objective={objective}: expected a metric, a list of different metrics, or null"
    for name in chosen_by:
        if MetricName.parse(name).split == "test":
            yield f"objective={name}: the test set must not be used to choose; use one of {', '.join(allowed)}"
        elif name not in allowed:
            close = did_you_mean(name, allowed)
            yield f"objective={name}: not a metric of this run{close} Validation metrics: {', '.join(allowed)}"
        elif is_ranking(name) and content["metrics"].get("rank_every", "auto") not in ("auto", 1):
            yield f"metrics.rank_every={content['metrics']['rank_every']}: objective={name} needs auto or 1"
        elif content["split"].get("val") == 0:
            yield f"objective={name}: split.val=0 leaves no validation rows; set objective=null or split.val > 0"


def check_implicit(content: dict[str, Any], names: list[str]) -> Iterator[str]:
    """Yield metrics that need ratings if the dataset has users, but no ratings."""
    columns = offered_columns(content["dataset"])
    if columns is None or "rating" in columns or "user_id" not in columns:
        return
    if needing := [name for name in names if not is_ranking(name) and not problem_with(name)]:
        yield (
            f"metrics.names: {', '.join(needing)}: need ratings, which this dataset lacks; for implicit feedback, "
            "set metrics=ranking objective=val/ndcg@10"
        )
    if content["metrics"].get("relevant_from") is not None:
        yield f"metrics.relevant_from={content['metrics']['relevant_from']}: this dataset has no ratings; set null"


def check_select(content: dict[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield problems of `select`: an unknown value, or no single objective to choose by."""
    select = content.get("select")
    if select is None:
        return
    if select not in SELECT:
        yield f"select={select}: unknown value{did_you_mean(str(select), SELECT)} Choices: best, refit, null"
    elif content["objective"] is None:
        yield f"select={select}: needs an objective to choose by; set objective=val/…"
    elif isinstance(content["objective"], list) and "search" not in content:  # a search shows its Pareto front
        yield f"select={select}: needs a single objective; set select=null, then run `anirec select --metric val/…`"
    elif content.get("checkpoints", "all") != "all":
        yield f"select={select}: the chosen run is tested from its checkpoints; set checkpoints=all"
    elif select == "refit" and "val" not in content["split"]:
        yield f"select=refit: {names.get('split', 'the split')} has no validation share (split.val) to retrain on"
