"""What a search varies: the space that its YAML brings and the command line changes. What needs an extra package."""

import re
from collections.abc import Iterator, Mapping, Sequence
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

# Beginnings of overrides: the module that they need, and the extra that brings it.
EXTRAS = {
    "search=": ("optuna", "optuna"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
}
SEEDS = ("seed", "split.seed", "split.fold")


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(f"{first_line(error)}\nAn override is written key=value, such as model.damping=1") from None


def search_space(params: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """What a search varies, by key: the YAML's space with what the command line fixes, narrows or adds.

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
    """A job for every end of every interval and every value of every choice: what fits them fits the whole space.

    >>> boundary_jobs({"model.lr": "tag(log, interval(0.1, 1.0))"}, ["model=svd", "model.lr=interval(0.1, 1.0)"])
    [['model=svd', 'model.lr=0.1'], ['model=svd', 'model.lr=1.0']]
    """
    plain = fixed_overrides(overrides)
    return [[*plain, one] for key, text in varied.items() for one in boundary_values(key, text)] or [plain]


def fixed_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides that give one value."""
    return [override.input_line or "" for override in parse_overrides(overrides) if not override.is_sweep_override()]


def boundary_values(key: str, text: str) -> Iterator[str]:
    (override,) = parse_overrides([f"{key}={text}"])
    if override.is_interval_sweep():
        interval: Any = override.value()
        yield from (f"{key}={interval.start}", f"{key}={interval.end}")
    elif override.is_sweep_override():
        yield from (f"{key}={value}" for value in override.sweep_string_iterator())


def distribution(key: str, text: str) -> "BaseDistribution":
    """Return what Optuna draws a setting from. The choices are strings, as an override gives them.

    Raises:
        UserError: The range is empty, or cannot be drawn from.

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
    """Lowest and highest value of Hydra's `range(…)`, which leaves its end out, and the step between them."""
    values, step = sorted(swept.range()), abs(swept.step)
    if not values:
        return swept.start, swept.stop, {}
    return values[0], round(values[0] + (len(values) - 1) * step, 12), {"step": step}  # without the error of a sum


def default_values(config: DictConfig, space: Mapping[str, "BaseDistribution"]) -> tuple[dict[str, Any], list[str]]:
    """Find the config's own values in a search space.

    Args:
        config: As composed, with Hydra's part.
        space: Of `distribution`, by key.

    Returns:
        The values, each moved into its interval; and a sentence for each that had to be moved, or left out because it
        is none of the choices.
    """
    from optuna.distributions import CategoricalDistribution

    groups = config.hydra.runtime.choices
    found, notes = {}, []
    for key, drawn in space.items():
        value = groups[key] if key in groups else OmegaConf.select(config, key)
        if isinstance(drawn, CategoricalDistribution):
            nearest = next(
                (text for text in drawn.choices if parse_overrides([f"{key}={text}"])[0].value() == value), None
            )
        else:
            nearest = nearest_in_interval(value, drawn)
        if nearest is not None:
            found[key] = nearest
        if nearest is None:
            notes.append(f"the default {key}={value} is not in the search space: the sampler draws it")
        elif not isinstance(nearest, str) and nearest != value:
            notes.append(f"the default {key}={value} is not in the search space: {nearest:g} in its place")
    return found, notes


def nearest_in_interval(value: Any, drawn: Any) -> int | float | None:
    """The nearest value that can be drawn; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    value = min(max(value, drawn.low), drawn.high)
    value = drawn.low + round((value - drawn.low) / drawn.step) * drawn.step if drawn.step else value
    return type(drawn.low)(value)


def check_no_seeds(varied: Mapping[str, str]) -> list[str]:
    """What no search may vary."""
    return [
        f"{key}={varied[key]}: a search would choose the luckiest; fix it, and run the winner with several"
        for key in SEEDS
        if key in varied
    ]


def check_search(config: DictConfig, varied: Mapping[str, str]) -> list[str]:
    """Settings that no search can work with.

    Args:
        config: As composed, with Hydra's part.
        varied: Of `search_space`.
    """
    problems = [str(error) for key, text in varied.items() if (error := range_error(key, text))]
    for key in ("search.n_trials", "search.at_once"):
        value = OmegaConf.select(config, key, default=1)
        if type(value) is not int or value < 1:
            problems.append(f"{key}={value}: expected a whole number >= 1")
    study = OmegaConf.select(config, "search.study")
    if study is not None and not re.fullmatch(r"\w[\w.-]*", str(study)):
        problems.append(f"search.study={study}: a name, no path: letters, digits, and after the first . _ -")
    n_at_once = OmegaConf.select(config, "search.at_once", default=1)
    launcher = OmegaConf.select(config, "hydra.launcher._target_", default="BasicLauncher")
    n_jobs = OmegaConf.select(config, "hydra.launcher.n_jobs", default=-1)
    if n_at_once != 1 and launcher.endswith("BasicLauncher"):
        problems.append(f"search.at_once={n_at_once}: this launcher runs one job at a time; add hydra/launcher=local")
    elif 0 < n_jobs < n_at_once:
        problems.append(f"hydra.launcher.n_jobs={n_jobs}: fewer processes than search.at_once={n_at_once}")
    if str(OmegaConf.select(config, "search.sampler._target_")).endswith(".BruteForceSampler"):
        problems += [
            f"{key}={text}: a grid needs a list of values, such as {key}=0.01,0.03"
            for key, text in varied.items()
            if not range_error(key, text) and is_continuous(distribution(key, text))
        ]
    return problems


def range_error(key: str, text: str) -> UserError | None:
    """Why nothing can be drawn from a range; None if it can."""
    try:
        distribution(key, text)
    except UserError as error:
        return error
    return None


def is_continuous(drawn: Any) -> bool:
    """Whether any number between two ends can be drawn."""
    return getattr(drawn, "step", 1) is None


def stray_intervals(overrides: Sequence[str]) -> list[str]:
    """Intervals where there is no search to draw from them."""
    return [
        f"{override.input_line}: only a search draws from an interval; add search=NAME, or list the values"
        for override in parse_overrides(overrides)
        if override.is_interval_sweep()
    ]


def missing_extras(overrides: Sequence[str]) -> list[str]:
    """Choices that need a package that is not here."""
    return [
        f"{override} needs a package that is not here: pip install 'anirec[{extra}]'"
        for override in overrides
        for start, (module, extra) in EXTRAS.items()
        if override.startswith(start) and override != "search=null" and not is_installed(module)
    ]


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
