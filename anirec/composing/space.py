"""What a search varies: the space that its YAML brings and the command line changes. What needs an extra package."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anirec.composing.composition import first_line
from anirec.errors import UserError

# Beginnings of overrides: the module that they need, and the extra that brings it.
EXTRAS = {
    "search=": ("hydra_plugins.hydra_optuna_sweeper", "optuna"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
}
LUCK = ("seed", "split.seed", "split.fold")


def parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(f"{first_line(error)}\nAn override is written key=value, such as model.damping=1") from None


def space(params: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """What a search varies, by key: the YAML's space with what the command line fixes, narrows or adds.

    >>> space({"model.lr": "interval(0.1,1)", "model.reg": "choice(1,2)"}, ["model.lr=0.5", "model.damping=1,2"])
    {'model.reg': 'choice(1,2)', 'model.damping': '1,2'}
    """
    varied = {key: str(value) for key, value in params.items()}
    for override in parsed(overrides):
        key, _, value = (override.input_line or "").lstrip("+~").partition("=")
        varied.pop(key, None)
        if override.is_sweep_override():
            varied[key] = value
    return varied


def trials(varied: Mapping[str, str], overrides: Sequence[str]) -> list[list[str]]:
    """A job for every end of every interval and every value of every choice: what fits them fits the whole space.

    >>> trials({"model.lr": "tag(log, interval(0.1, 1.0))"}, ["model=svd", "model.lr=interval(0.1, 1.0)"])
    [['model=svd', 'model.lr=0.1'], ['model=svd', 'model.lr=1.0']]
    """
    plain = fixed(overrides)
    return [[*plain, one] for key, text in varied.items() for one in ends(key, text)] or [plain]


def fixed(overrides: Sequence[str]) -> list[str]:
    """The overrides that give one value."""
    return [override.input_line or "" for override in parsed(overrides) if not override.is_sweep_override()]


def ends(key: str, text: str) -> Iterator[str]:
    (override,) = parsed([f"{key}={text}"])
    if override.is_interval_sweep():
        interval: Any = override.value()
        yield from (f"{key}={interval.start}", f"{key}={interval.end}")
    elif override.is_sweep_override():
        yield from (f"{key}={value}" for value in override.sweep_string_iterator())


def unsuited(varied: Mapping[str, str]) -> list[str]:
    """What no search may vary."""
    return [
        f"{key}={varied[key]}: a search would choose the luckiest; fix it, and run the winner with several"
        for key in LUCK
        if key in varied
    ]


def unsearchable(config: DictConfig, varied: Mapping[str, str]) -> list[str]:
    """Settings that no search can work with.

    Args:
        config: As composed, with Hydra's part.
        varied: Of `space`.
    """
    problems = []
    for key in ("search.n_trials", "search.at_once"):
        value = OmegaConf.select(config, key, default=1)
        if type(value) is not int or value < 1:
            problems.append(f"{key}={value}: expected a whole number >= 1")
    study = OmegaConf.select(config, "search.study")
    if study is not None and not re.fullmatch(r"\w[\w.-]*", str(study)):
        problems.append(f"search.study={study}: a name, no path: letters, digits, and after the first . _ -")
    if str(OmegaConf.select(config, "hydra.sweeper.sampler._target_")).endswith(".GridSampler"):
        read = parsed([f"{key}={text}" for key, text in varied.items()])
        problems += [
            f"{override.input_line}: grid needs lists of values: {override.key_or_group}=0.01,0.03"
            for override in read
            if override.is_interval_sweep()
        ]
    return problems


def undrawn(overrides: Sequence[str]) -> list[str]:
    """Intervals where there is no search to draw from them."""
    return [
        f"{override.input_line}: only a search draws from an interval; add search=NAME, or list the values"
        for override in parsed(overrides)
        if override.is_interval_sweep()
    ]


def lacking(overrides: Sequence[str]) -> list[str]:
    """Choices that need a package that is not here."""
    return [
        f"{override} needs a package that is not here: pip install 'anirec[{extra}]'"
        for override in overrides
        for start, (module, extra) in EXTRAS.items()
        if override.startswith(start) and override != "search=null" and not is_here(module)
    ]


def is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
