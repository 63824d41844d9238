"""Search spaces: the ranges of a search's YAML with the changes of the command line; checks of them; extra packages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anirec.config.compose import first_line
from anirec.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Prefixes of overrides that need an optional module, and the extra that installs it.
EXTRAS = {
    "search=": ("optuna", "optuna"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
}
SEEDS = ("seed", "split.seed", "split.fold")


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides in Hydra's syntax.

    Raises:
        UserError: An override cannot be parsed.
    """
    return [parse_override(override) for override in overrides]


@cache
def parse_override(override: str) -> Override:
    """Parse one override; see `parse_overrides`."""
    if override.startswith("-"):
        raise UserError(f"{override}: no such option. `anirec run --help` lists options, choices and keys.")
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise UserError(
            f"{override}: {first_line(error)}\nExpected overrides of the form key=value, such as model.damping=1"
        ) from None


def search_space(params: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """Return the ranges of a search by key: those of its YAML, as the command line fixes, narrows or adds them.

    >>> search_space({"model.lr": "interval(0.1,1)", "model.reg": "choice(1,2)"}, ["model.lr=0.5", "model.damping=1,2"])
    {'model.reg': 'choice(1,2)', 'model.damping': '1,2'}
    """
    varied = {key: str(value) for key, value in params.items()}
    for override in parse_overrides(overrides):
        key, _, value = (override.input_line or "").lstrip("+~").partition("=")
        varied.pop(key, None)
        if override.is_sweep_override():
            varied[key] = value
    return varied


def boundary_jobs(varied: Mapping[str, str], overrides: Sequence[str]) -> list[list[str]]:
    """Return one job per end of an interval and per value of a choice: if they are valid, so is the whole space.

    >>> boundary_jobs({"model.lr": "tag(log, interval(0.1, 1.0))"}, ["model=svd", "model.lr=interval(0.1, 1.0)"])
    [['model=svd', 'model.lr=0.1'], ['model=svd', 'model.lr=1.0']]
    """
    plain = fixed_overrides(overrides)
    return [[*plain, one] for key, text in varied.items() for one in boundary_values(key, text)] or [plain]


def fixed_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that have a single value."""
    return [override.input_line or "" for override in parse_overrides(overrides) if not override.is_sweep_override()]


def boundary_values(key: str, text: str) -> Iterator[str]:
    """Yield an override for each end of an interval, or each value of a choice."""
    (override,) = parse_overrides([f"{key}={text}"])
    if override.is_interval_sweep():
        interval: Any = override.value()
        yield from (f"{key}={interval.start}", f"{key}={interval.end}")
    elif override.is_sweep_override():
        yield from (f"{key}={value}" for value in override.sweep_string_iterator())


def distribution(key: str, text: str) -> "BaseDistribution":
    """Return the Optuna distribution of a range in Hydra's syntax. Choices are strings, as in an override.

    Raises:
        UserError: The range is empty or invalid.

    >>> distribution("model.n_factors", "int(interval(5, 80))")
    IntDistribution(high=80, log=False, low=5, step=1)
    >>> distribution("model.n_factors", "choice(16, 32)")
    CategoricalDistribution(choices=('16', '32'))
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    (override,) = parse_overrides([f"{key}={text}"])
    if not override.is_sweep_override():
        return CategoricalDistribution([text])
    if override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    swept: Any = override.value()
    low, high, step = (swept.start, swept.end, {}) if override.is_interval_sweep() else range_ends(swept)
    kind = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    try:
        return kind(low, high, log="log" in swept.tags, **step)
    except ValueError as error:
        raise UserError(f"{key}={text}: {error}") from None


def range_ends(swept: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return the lowest and highest value of Hydra's `range(…)`, which excludes its end, and the step between them."""
    values, step = sorted(swept.range()), abs(swept.step)
    if not values:
        return swept.start, swept.stop, {}
    return values[0], round(values[0] + (len(values) - 1) * step, 12), {"step": step}  # without rounding errors


def default_values(config: DictConfig, space: Mapping[str, "BaseDistribution"]) -> tuple[dict[str, Any], list[str]]:
    """Find the default values of a config in a search space.

    Args:
        config: Composed config, including Hydra's section.
        space: Distributions by key.

    Returns:
        The default values, each clipped to its interval; and a note for each that was clipped, or left out because it
        is not among the choices.
    """
    from optuna.distributions import CategoricalDistribution

    groups = config.hydra.runtime.choices
    found, notes = {}, []
    for key, domain in space.items():
        value = groups[key] if key in groups else OmegaConf.select(config, key)
        if isinstance(domain, CategoricalDistribution):
            nearest = next(
                (text for text in domain.choices if parse_overrides([f"{key}={text}"])[0].value() == value), None
            )
        else:
            nearest = nearest_in_interval(value, domain)
        if nearest is not None:
            found[key] = nearest
        if nearest is None:
            notes.append(
                f"The default {key}={value} is outside the search space; the first trial samples a value instead."
            )
        elif not isinstance(nearest, str) and nearest != value:
            notes.append(f"The default {key}={value} is outside the search space; the first trial uses {nearest:g}.")
    return found, notes


def nearest_in_interval(value: Any, domain: Any) -> int | float | None:
    """Return the nearest value that can be sampled; None if `value` is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    value = min(max(value, domain.low), domain.high)
    value = domain.low + round((value - domain.low) / domain.step) * domain.step if domain.step else value
    return type(domain.low)(value)


def check_no_seeds(varied: Mapping[str, str]) -> list[str]:
    """Return a problem for each seed or fold that a search would vary."""
    return [
        f"{key}={varied[key]}: a search would pick the luckiest value; fix it, and repeat the best trial with several"
        for key in SEEDS
        if key in varied
    ]


def check_search(config: DictConfig, varied: Mapping[str, str]) -> list[str]:
    """Return the problems of the settings of a search.

    Args:
        config: Composed config, including Hydra's section.
        varied: Ranges by key; see `search_space`.
    """
    problems = [str(error) for key, text in varied.items() if (error := range_error(key, text))]
    for key in ("search.n_trials", "search.at_once"):
        value = OmegaConf.select(config, key, default=1)
        if type(value) is not int or value < 1:
            problems.append(f"{key}={value}: expected a whole number >= 1")
    study = OmegaConf.select(config, "search.study")
    if study is not None and not re.fullmatch(r"\w[\w.-]*", str(study)):
        problems.append(
            f"search.study={study}: expected a name, not a path: letters, digits, _ . -, with no . or - at the start"
        )
    n_at_once = OmegaConf.select(config, "search.at_once", default=1)
    launcher = OmegaConf.select(config, "hydra.launcher._target_", default="BasicLauncher")
    n_jobs = OmegaConf.select(config, "hydra.launcher.n_jobs", default=-1)
    if n_at_once != 1 and launcher.endswith("BasicLauncher"):
        problems.append(f"search.at_once={n_at_once}: this launcher runs one job at a time; add hydra/launcher=local")
    elif 0 < n_jobs < n_at_once:
        problems.append(f"hydra.launcher.n_jobs={n_jobs}: expected at least search.at_once={n_at_once} processes")
    if str(OmegaConf.select(config, "search.sampler._target_")).endswith(".BruteForceSampler"):
        problems += [
            f"{key}={text}: a grid search needs a list of values, such as {key}=0.01,0.03"
            for key, text in varied.items()
            if not range_error(key, text) and is_continuous(distribution(key, text))
        ]
    return problems


def range_error(key: str, text: str) -> UserError | None:
    """Return the error of an invalid range; None if it is valid."""
    try:
        distribution(key, text)
    except UserError as error:
        return error
    return None


def is_continuous(domain: Any) -> bool:
    """Whether a distribution has infinitely many values."""
    return getattr(domain, "step", 1) is None


def stray_intervals(overrides: Sequence[str]) -> list[str]:
    """Return a problem for each interval outside a search."""
    return [
        f"{override.input_line}: an interval needs a search; add search=NAME, or list the values"
        for override in parse_overrides(overrides)
        if override.is_interval_sweep()
    ]


def missing_extras(overrides: Sequence[str]) -> list[str]:
    """Return a problem for each choice that needs a package that is not installed."""
    return [
        f"{override} needs a package that is not installed: pip install 'anirec[{extra}]'"
        for override in overrides
        for start, (module, extra) in EXTRAS.items()
        if override.startswith(start) and override != "search=null" and not is_installed(module)
    ]


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False
