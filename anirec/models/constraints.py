"""Combinations of settings that models reject; see `anirec.settings.Configurable`. Imported without torch.

The parts of a model, such as its branches, are objects or nodes of a config.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from anirec.settings import NonNegative, Positive, PositiveInt, problems

# Ranges of the settings of Surprise's algorithms, which it does not check, by name or by prefix.
SURPRISE = {
    "n_factors": PositiveInt,
    "n_epochs": PositiveInt,
    "k": PositiveInt,
    "min_k": PositiveInt,
    "init_std_dev": NonNegative,
    "lr": Positive,
    "reg": NonNegative,
}


def check_blend(settings: Mapping[str, Any]) -> Iterator[str]:
    models, weights = settings["models"], settings["weights"]
    yield from one_for_each("weights", weights, models)
    most = max((epochs_of(model) for model in models.values()), default=1)
    if settings["epochs"] != most:
        yield f"epochs={settings['epochs']}: expected {most}, the largest number of epochs of {', '.join(models)}"


def epochs_of(model: Any) -> int:
    return int(model.get("epochs", 1) if isinstance(model, Mapping) else getattr(model, "epochs", 1))


def check_frozen(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem unless there are branches and all are frozen, as models without gradients require."""
    branches = settings["branches"]
    if not branches:
        yield "branches={}: the model needs at least one branch"
    for name, branch in branches.items():
        if not (branch.get("frozen", True) if isinstance(branch, Mapping) else branch.frozen):
            yield f"branches.{name}.frozen=false: this model does not train encoders; set frozen=true"


def check_kernel_ridge(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from check_frozen(settings)
    for name in ("kernels", "weights"):
        yield from one_for_each(name, settings[name], settings["branches"])


def check_content_ridge(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from check_frozen(settings)
    yield from one_for_each("weights", settings["weights"], settings["branches"])


def check_ridge(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from check_frozen(settings)
    branches = settings["branches"]
    if unknown := sorted(set(settings["weights"] or {}) - set(branches)):
        yield f"weights: names {', '.join(unknown)}; the branches are {', '.join(branches)}"


def check_fusion(settings: Mapping[str, Any]) -> Iterator[str]:
    branches, groups = settings["branches"], settings["groups"]
    grouped = sorted(name for members in groups.values() for name in members)
    if grouped != sorted(branches) or not branches:
        expected = f"expected each branch once: {', '.join(branches) or 'at least one'}"
        yield f"groups: contains {', '.join(grouped) or 'no branch'}; {expected}"
    if unknown := sorted(set(settings["group_layers"]) - set(groups)):
        yield f"group_layers: names {', '.join(unknown)}; the groups are {', '.join(groups)}"


def check_objective(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["objective"] == "bpr" and not settings["negatives"]:
        yield "negatives=0: objective=bpr needs at least one sampled item per row; expected >= 1"


def check_hidden(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["dropout"] and not settings["hidden"]:
        yield f"dropout={settings['dropout']}: hidden=[] has no layer for dropout; set dropout=0 or add a hidden layer"


def check_surprise(settings: Mapping[str, Any]) -> Iterator[str]:
    algorithm = settings["algorithm"]
    for name, value in (algorithm if isinstance(algorithm, Mapping) else vars(algorithm)).items():
        if expected := SURPRISE.get(name, SURPRISE.get(name.partition("_")[0])):
            yield from problems(f"algorithm.{name}", value, expected | None)


def check_regressor(settings: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(settings["regressor"], Mapping):
        yield from rejected_parameters("regressor", settings["regressor"])


def rejected_parameters(path: str, estimator: Any) -> Iterator[str]:
    """Yield the parameters of an estimator of scikit-learn, and of its parts, that it would reject in `fit`."""
    for name, part in {"": estimator, **estimator.get_params()}.items():
        if hasattr(part, "_parameter_constraints"):  # an estimator that declares them
            try:
                part._validate_params()
            except ValueError as error:
                yield f"{'.'.join([path, *name.split('__')]).rstrip('.')}: {error}"


def one_for_each(name: str, values: Collection[str], parts: Collection[str]) -> Iterator[str]:
    """Yield a problem unless a mapping has exactly the keys of the parts."""
    if set(values) != set(parts):
        yield f"{name}: names {', '.join(values) or 'none'}; expected one for each of {', '.join(parts)}"


def check_sequence(settings: Mapping[str, Any]) -> Iterator[str]:
    n_factors, n_heads = settings["n_factors"], settings["n_heads"]
    if n_factors % n_heads:
        yield f"n_heads={n_heads}: expected a divisor of n_factors={n_factors}"
    negatives, calibration = settings["negatives"], settings["calibration"]
    if (negatives is None) != (calibration is None):
        yield (
            f"negatives={negatives}, calibration={calibration}: expected numbers for gBCE, such as 256 and 0.75, or "
            "null for both, for softmax"
        )
