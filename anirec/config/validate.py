"""`anirec validate`: compose and check the jobs of a command line, and report all problems at once."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import lru_cache
from itertools import islice, product
from math import prod
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anirec.config.checks import check_config
from anirec.config.compose import (
    conf_folder,
    did_you_mean,
    first_line,
    options,
    to_dict,
    with_folder,
    with_placeholders,
)
from anirec.config.hints import suggest_key
from anirec.config.identity import is_within, replicate_keys
from anirec.config.search_space import (
    boundary_jobs,
    check_no_seeds,
    check_search,
    fixed_overrides,
    missing_extras,
    parse_overrides,
    search_space,
    stray_intervals,
)
from anirec.config.signatures import attribute
from anirec.errors import UserError

MAX_CHECKED_JOBS = 24  # of a larger sweep, a sample is checked
# Hydra also raises built-in exceptions: `model=null` is a ValueError.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, KeyError, TypeError)


def validate(overrides: Sequence[str], *, config_dir: str | None = None) -> int:
    """Compose and check the jobs that the overrides describe, and return how many there are; a search counts as one.

    Raises:
        UserError: With all problems of all jobs.
    """
    search_path = with_folder(config_dir)
    if config_dir and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: no such folder")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        overrides = null_to_none(overrides)
        if wrong := missing_extras(overrides):
            raise UserError(format_problems({problem: [] for problem in wrong}, 0))
        composer = Composer(search_path)
        axes = sweep_axes(overrides)
        search = composer.compose_search([next(product(*axes)), fixed_overrides(overrides)])
        varied = None if search is None else search_space(search.hydra.sweeper.params or {}, overrides)
        if search is None or varied is None:
            wrong = [*stray_intervals(overrides), *check_select_axes(overrides, composer)]
        else:
            wrong = [*check_no_seeds(varied), *check_search(search, varied)]
        n_jobs = prod(map(len, axes)) if varied is None else 1
        jobs = sample_jobs(axes) if varied is None else boundary_jobs(varied, overrides)
        problems = {problem: [" ".join(job) for job in jobs] for problem in wrong}
        for job in jobs:
            key = job[-1].partition("=")[0] if varied else ""
            if varied and any(problem.startswith((f"{key}=", f"{key}:")) for problem in problems):
                continue  # one invalid value per key is enough
            for problem in check_job(job, composer):
                problems.setdefault(problem, []).append(" ".join(job))
    if problems:
        raise UserError(format_problems(problems, len(jobs), checked=" checked" if len(jobs) < n_jobs else ""))
    return n_jobs


class Composer:
    """Compose the configs of jobs, with one composition by Hydra for each combination of choices.

    Hydra sets the values of keys after it has merged the YAML files of the choices. So the configs of jobs that differ
    in values alone are copies of one composition, in which the values are set.

    Args:
        search_path: Overrides that every job has, such as the folder of the user's YAML files.
    """

    def __init__(self, search_path: Sequence[str] = ()) -> None:
        self.search_path = tuple(search_path)
        self.composed: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}
        self.is_group = lru_cache(maxsize=None)(lambda key: bool(options(key)))  # Hydra takes long to answer

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config of a job, without Hydra's section.

        Raises:
            ConfigCompositionException: Or another of `COMPOSITION_ERRORS`.
        """
        config = deepcopy(self.compose_choices(overrides)[0])
        for override in self.values(overrides):
            key, is_new = override.key_or_group, override.is_force_add()
            try:
                OmegaConf.update(config, key, override.value(), merge=True, force_add=is_new)
            except OmegaConfBaseException as error:
                raise ConfigCompositionException(f"Could not override '{key}'. {error}") from None
        return config

    def compose_choices(self, overrides: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """Return the config of a job before its values are set, and Hydra's section of it; neither may be changed."""
        values = self.values(overrides)
        others = [override for override in parse_overrides(overrides) if override not in values]
        choices = (*self.search_path, *(override.input_line or "" for override in others))
        if choices not in self.composed:
            full = compose("config", list(choices), return_hydra_config=True)
            bare = OmegaConf.masked_copy(full, [str(key) for key in full if key != "hydra"])
            OmegaConf.set_struct(bare, True)  # unknown keys are errors, as in Hydra
            self.composed[choices] = bare, full.hydra
        return self.composed[choices]

    def values(self, overrides: Sequence[str]) -> list[Override]:
        """Return the overrides that set values; none if some add or delete keys, which depends on the order of all."""
        read = parse_overrides(overrides)
        if any(override.is_add() or override.is_delete() for override in read):
            return []
        return [override for override in read if self.sets_value(override)]

    def sets_value(self, override: Override) -> bool:
        """Whether an override sets the value of a key, and chooses no YAML file; those of Hydra itself do not count."""
        key = override.key_or_group
        return not (key.startswith("hydra") or "/" in key or override.package or self.is_group(key))

    def compose_search(self, attempts: Iterable[Sequence[str]]) -> DictConfig | None:
        """Return the config of a search, with Hydra's section, from the first list of overrides that composes.

        Returns:
            None if there is no search, or nothing composes.
        """
        for overrides in attempts:
            try:
                config, of_hydra = self.compose(overrides), self.compose_choices(overrides)[1]
            except COMPOSITION_ERRORS:
                continue
            return OmegaConf.create({**config, "hydra": of_hydra}) if "search" in config else None
        return None


def check_select_axes(overrides: Sequence[str], composer: Composer) -> list[str]:
    """Return a problem for each key that a sweep with `select` must not vary: metrics must be of the same rows.

    It may vary seeds and folds that the split declares as `replicates`, and keys that the dataset declares as
    `same_rows`.
    """
    read = {override.key_or_group: override for override in parse_overrides(overrides)}
    if "select" not in read or read["select"].value() is None:
        return []
    varied = [key for key, override in read.items() if override.is_sweep_override()]
    if "objective" in varied:
        return ["select needs one objective for all jobs; run one sweep for each value of objective"]
    of_data = [key for key in varied if key.partition(".")[0] in ("dataset", "joined", "split")]
    if not of_data:
        return []
    try:
        config = to_dict(with_placeholders(composer.compose(next(product(*sweep_axes(overrides))))))
    except COMPOSITION_ERRORS:
        return []  # `check_job` reports it
    same_rows = [f"dataset.{name}" for name in attribute(config["dataset"]["_target_"], "same_rows") or ()]
    return [
        f"select compares runs on the same data and split; run one sweep for each value of {key}"
        for key in of_data
        if key not in replicate_keys(config)
        and not any(is_within("dataset.joined" if key == "joined" else key, part) for part in same_rows)
    ]


def format_problems(problems: dict[str, list[str]], n_jobs: int, *, checked: str = "") -> str:
    """List each problem once, with the number of jobs that have it if not all do."""
    lines = []
    for problem, jobs in problems.items():
        lines.append(f"- {problem}")
        if len(jobs) < n_jobs:
            lines.append(f"    in {len(jobs)} of {n_jobs} jobs{checked}: {jobs[0]}{' …' if len(jobs) > 1 else ''}")
    return "\n".join([f"The config has {len(problems)} problem{'s' if len(problems) > 1 else ''}:", *lines])


def sweep_axes(overrides: Sequence[str]) -> list[list[str]]:
    """Return the values of each override; a multirun runs every combination of them.

    >>> sweep_axes(["model=bias,svd", "seed=1"])
    [['model=bias', 'model=svd'], ['seed=1']]
    """
    axes = []
    for override in parse_overrides(overrides):
        if override.is_sweep_override() and override.is_discrete_sweep():
            if GlobalHydra.instance().is_initialized():
                override.config_loader = GlobalHydra.instance().config_loader()  # which `glob` asks for the choices
            values = list(override.sweep_string_iterator())
            if not values:
                raise UserError(f"{override.input_line}: no choice fits; glob is for groups, as in model=glob(svd*)")
            axes.append([f"{override.get_key_element()}={value}" for value in values])
        elif not override.is_sweep_override():
            axes.append([override.input_line or ""])
    return axes


def sample_jobs(axes: list[list[str]]) -> list[list[str]]:
    """Return the jobs to check: all of a small multirun; of a large one, each combination of choices, and each value.

    The choices determine which keys exist, and whether a value is valid does not depend on other values: a key of a
    group that is varied is checked with each choice of that group, any other key with the first choice of all groups.
    """
    jobs = [list(job) for job in islice(product(*axes), MAX_CHECKED_JOBS + 1)]
    if len(jobs) <= MAX_CHECKED_JOBS:
        return jobs
    keys = [axis[0].lstrip("+~").partition("=")[0].partition("@")[0] for axis in axes]
    groups = {key for key in keys if options(key)}
    of_choices = [axis if key in groups else axis[:1] for key, axis in zip(keys, axes, strict=True)]
    jobs = [list(job) for job in product(*of_choices)]
    for place, (key, axis) in enumerate(zip(keys, axes, strict=True)):
        if key in groups:
            continue
        owners = {group for group in groups if is_within(key, group)}
        others = [one if name in owners else one[:1] for name, one in zip(keys, axes, strict=True)]
        for value in axis[1:]:
            jobs += map(list, product(*others[:place], [value], *others[place + 1 :]))
    return jobs


def hydra_overrides(overrides: Sequence[str], *, is_sweep: bool) -> list[str]:
    """Rewrite overrides for Hydra; see `null_to_none` and `force_add`."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        written = null_to_none(overrides)
    return force_add(written) if is_sweep else written


def null_to_none(overrides: Sequence[str]) -> list[str]:
    """Replace `null` by `none` for groups with a choice `none`, as Hydra does not accept `null` as a choice.

    Hydra must be initialised.
    """
    written = []
    for override in parse_overrides(overrides):
        line = override.input_line or ""
        if "none" in options(override.key_or_group):
            values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
            if "null" in values or None in values:
                chosen = ("none" if value in ("null", None) else str(value) for value in values)
                line = f"{override.get_key_element()}={','.join(chosen)}"
        written.append(line)
    return written


def force_add(overrides: Sequence[str]) -> list[str]:
    """Prefix overrides of keys with `++` (add the key if it is missing) if a group is swept over.

    Hydra composes a multirun once without the swept overrides. It would look for n_factors in the default model or, as
    the model sets the task, for dataset.sampling in the default task.

    >>> force_add(["model=svd,svdpp", "model.n_factors=80", "seed=1"])
    ['model=svd,svdpp', '++model.n_factors=80', 'seed=1']
    """
    read = parse_overrides(overrides)
    sweeps_groups = any(override.is_sweep_override() and "." not in override.key_or_group for override in read)
    left = []
    for override in read:
        line = override.input_line or ""
        is_plain = "." in override.key_or_group and line[0] not in "+~" and not override.is_sweep_override()
        left.append(f"++{line}" if sweeps_groups and is_plain else line)
    return left


def check_job(overrides: Sequence[str], composer: Composer) -> list[str]:
    """Compose and check one job. Overrides that fail are reported and removed, to find the other problems as well."""
    problems: list[str] = []
    left = list(overrides)
    while True:
        try:
            config, of_hydra = composer.compose(left), composer.compose_choices(left)[1]
        except COMPOSITION_ERRORS as error:
            culprit = next((o for o in left if is_blamed(error, o)), None) or find_culprit(left, composer)
            others = [o for o in left if o != culprit]
            problems.append(explain_error(error, culprit, others, composer))
            if culprit is None:
                return problems
            left = others
        else:
            return problems + check_config(config, of_hydra.runtime.choices)


def find_culprit(overrides: list[str], composer: Composer) -> str | None:
    """Return the override without which the others compose; None if there is none."""
    for override in overrides:
        try:
            composer.compose([o for o in overrides if o != override])
        except COMPOSITION_ERRORS:
            continue
        return override
    return None


def is_blamed(error: Exception, override: str) -> bool:
    """Whether the error names the key or choice of the override."""
    key, _, value = override.lstrip("+~").partition("=")
    text = str(error)
    return f"'{key}'" in text or f"'{key}/{value}'" in text or f"{key}={value}" in text


def explain_error(error: Exception, override: str | None, others: list[str], composer: Composer) -> str:
    """Return what is wrong with an override, with the closest valid name."""
    if override is None:
        return first_line(error)
    key, _, value = override.lstrip("+~").partition("=")
    choices = options(key)
    if choices and value not in choices:
        return f"{key}={value}: no such choice{did_you_mean(value, choices)} Choices: {', '.join(choices)}"
    try:
        base = composer.compose(others)
    except COMPOSITION_ERRORS:
        base = composer.compose([])
    parent, _, leaf = key.rpartition(".")
    while parent and not isinstance(OmegaConf.select(base, parent), DictConfig):
        parent, _, leaf = parent.rpartition(".")  # the first part of the key that does not exist
    node = OmegaConf.select(base, parent) if parent else base
    known = [str(name) for name in node if not str(name).startswith("_")] if isinstance(node, DictConfig) else []
    if leaf in known:
        return f"{override}: {first_line(error)}"
    section = f"in {parent}" if parent else "at the top level"
    hint = suggest_key(f"{parent}.{leaf}".lstrip("."), to_dict(base, resolve=False), typed=key)
    return f"{override}: no key {leaf} {section}{hint or '. Keys: ' + ', '.join(known)}"
