"""`anirec validate`: compose and check the jobs of a command line, and report all problems at once."""

from collections.abc import Sequence
from itertools import islice, product
from math import prod
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
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

MAX_CHECKED_JOBS = 24  # of a larger sweep, a sample is checked: a job takes a fifth of a second
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
        search = compose_search([*search_path, *fixed_overrides(overrides)])
        varied = None if search is None else search_space(search.hydra.sweeper.params or {}, overrides)
        if search is None or varied is None:
            wrong = [*stray_intervals(overrides), *check_select_axes(overrides, search_path)]
        else:
            wrong = [*check_no_seeds(varied), *check_search(search, varied)]
        axes = [] if varied else sweep_axes(overrides)
        n_jobs = prod(map(len, axes)) if varied is None else 1
        jobs = sample_jobs(axes) if varied is None else boundary_jobs(varied, overrides)
        problems = {problem: [" ".join(job) for job in jobs] for problem in wrong}
        for job in jobs:
            key = job[-1].partition("=")[0] if varied else ""
            if varied and any(problem.startswith((f"{key}=", f"{key}:")) for problem in problems):
                continue  # one invalid value per key is enough
            for problem in check_job([*search_path, *job]):
                problems.setdefault(problem, []).append(" ".join(job))
    if problems:
        raise UserError(format_problems(problems, len(jobs), checked=" checked" if len(jobs) < n_jobs else ""))
    return n_jobs


def compose_search(overrides: list[str]) -> DictConfig | None:
    """Compose the config of a search, including Hydra's section; None if there is no search or it does not compose."""
    try:
        config = compose("config", overrides, return_hydra_config=True)
    except COMPOSITION_ERRORS:
        return None
    return config if "search" in config else None


def check_select_axes(overrides: Sequence[str], search_path: Sequence[str]) -> list[str]:
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
        config = to_dict(with_placeholders(compose("config", [*search_path, *next(product(*sweep_axes(overrides)))])))
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
            key = override.get_key_element()
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            axes.append([override.input_line or ""])
    return axes


def sample_jobs(axes: list[list[str]]) -> list[list[str]]:
    """Return the jobs to check: all of a small multirun; of a large one, each combination of choices with each value.

    The choices determine which keys exist, and whether a value is valid seldom depends on another value.
    """
    jobs = [list(job) for job in islice(product(*axes), MAX_CHECKED_JOBS + 1)]
    if len(jobs) <= MAX_CHECKED_JOBS:
        return jobs
    is_choice = [bool(options(axis[0].lstrip("+~").partition("=")[0].partition("@")[0])) for axis in axes]
    n_values = max((len(axis) for axis, choice in zip(axes, is_choice, strict=True) if not choice), default=1)
    combinations = product(*(axis if choice else [None] for axis, choice in zip(axes, is_choice, strict=True)))
    return [
        [chosen or axis[row % len(axis)] for chosen, axis in zip(combination, axes, strict=True)]
        for combination in combinations
        for row in range(n_values)
    ]


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


def check_job(overrides: list[str]) -> list[str]:
    """Compose and check one job. Overrides that fail are reported and removed, to find the other problems as well."""
    problems: list[str] = []
    while True:
        try:
            config = compose("config", overrides, return_hydra_config=True)
        except COMPOSITION_ERRORS as error:
            culprit = next((o for o in overrides if is_blamed(error, o)), None) or find_culprit(overrides)
            others = [o for o in overrides if o != culprit]
            problems.append(explain_error(error, culprit, others))
            if culprit is None:
                return problems
            overrides = others
        else:
            bare = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            return problems + check_config(bare, config.hydra.runtime.choices)


def find_culprit(overrides: list[str]) -> str | None:
    """Return the override without which the others compose; None if there is none."""
    for override in overrides:
        try:
            compose("config", [o for o in overrides if o != override])
        except COMPOSITION_ERRORS:
            continue
        return override
    return None


def is_blamed(error: Exception, override: str) -> bool:
    """Whether the error names the key or choice of the override."""
    key, _, value = override.lstrip("+~").partition("=")
    text = str(error)
    return f"'{key}'" in text or f"'{key}/{value}'" in text or f"{key}={value}" in text


def explain_error(error: Exception, override: str | None, others: list[str]) -> str:
    """Return what is wrong with an override, with the closest valid name."""
    if override is None:
        return first_line(error)
    key, _, value = override.lstrip("+~").partition("=")
    choices = options(key)
    if choices and value not in choices:
        return f"{key}={value}: no such choice{did_you_mean(value, choices)} Choices: {', '.join(choices)}"
    try:
        base = compose("config", others)
    except COMPOSITION_ERRORS:
        base = compose("config")
    parent, _, leaf = key.rpartition(".")
    while parent and not isinstance(OmegaConf.select(base, parent), DictConfig):
        parent, _, leaf = parent.rpartition(".")  # the first part of the key that does not exist
    node = OmegaConf.select(base, parent) if parent else base
    known = [str(name) for name in node if not str(name).startswith("_")] if isinstance(node, DictConfig) else []
    if leaf in known:
        return f"{override}: {first_line(error)}"
    section = f"in {parent}" if parent else "at the top level"
    hint = suggest_key(f"{parent}.{leaf}".lstrip("."), to_dict(base, resolve=False))
    return f"{override}: no key {leaf} {section}{hint or '. Keys: ' + ', '.join(known)}"
