"""Help of `anirec run` and `anirec validate`: the choices of each group, and the keys of a composed config.

Both come from the YAML files: a choice is described by the first comment of its file, a key by the comment behind it.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from anirec.config.comments import key_comments, purpose
from anirec.config.compose import conf_folder, options, to_dict, with_folder, with_placeholders

WIDTH = 80
MAX_NAME = 30  # longer names and values stand on a line of their own
# Headings of the groups that a user chooses from, below the models.
GROUPS = {
    "dataset": "Datasets",
    "joined": "Metadata from a second dump with the same ids",
    "split": "Splits",
    "metrics": "Metrics",
    "encoders": "Encoders of text and pictures",
    "trainer": "Trainers",
    "callbacks": "Callbacks",
    "logger": "Loggers",
    "hydra/launcher": "Launchers of the jobs of a sweep",
    "search": "Searches for hyper-parameters",
    "search/sampler": "Samplers of a search",
}
DESCRIBED = ("model", "dataset", "split", "metrics", "trainer")  # groups whose keys are always listed
TASKS = {"ratings": "ratings by users", "scores": "mean scores of titles", "posts": "scores of posts"}
TASK_ENTRY = "override /task@_global_"  # the entry of a model's defaults list that sets its task


def list_choices(config_dir: str | None = None) -> str:
    """Return the choices of all groups and the top-level keys, with their comments."""
    folders = yaml_folders(config_dir)
    models = find_choices("model", folders)
    tasks = {name: task_of(name, models) for name in models}
    parts = []
    for task, predicted in TASKS.items():
        found = {name: purpose(path) for name, path in models.items() if tasks[name] == task}
        parts.append(section(f"Models of {predicted} (model=NAME):", found))
    for group, heading in GROUPS.items():
        found = {name: purpose(path) for name, path in find_choices(group, folders).items()}
        parts.append(section(f"{heading} ({group}=NAME):", found))
    comments = key_comments((conf_folder() / "config.yaml").read_text(encoding="utf-8"))
    keys = {key: comment for key, comment in comments.items() if key.partition(".")[0] not in ("hydra", "run")}
    parts.append(section("Other keys (KEY=VALUE):", keys))
    return "\n\n".join(parts)


def yaml_folders(config_dir: str | None) -> list[Path]:
    """Return the folders whose YAML files are choices of the groups."""
    return [conf_folder(), *([Path(config_dir)] if config_dir else [])]


def find_choices(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """Return the YAML files of a group by name."""
    found = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return dict(sorted(found.items()))


def task_of(model: str, models: Mapping[str, Path]) -> str:
    """Return the task that a model's YAML sets, itself or through a model that it extends; else the first of TASKS."""
    content = yaml.safe_load(models[model].read_text(encoding="utf-8")) or {}
    defaults = content.get("defaults", [])
    own = [str(entry[TASK_ENTRY]) for entry in defaults if isinstance(entry, dict) and TASK_ENTRY in entry]
    extended = [task_of(entry, models) for entry in defaults if isinstance(entry, str) and entry in models]
    return next(iter([*own, *extended]), next(iter(TASKS)))


def list_keys(overrides: Sequence[str], config_dir: str | None = None) -> str:
    """Return the keys of the config that the overrides compose, by group; of a sweep, those of its first job.

    Raises:
        UserError: The overrides do not compose; with all problems, as `anirec validate` reports them.
    """
    from anirec.config.validate import COMPOSITION_ERRORS, null_to_none, sweep_axes, validate

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        job = [*with_folder(config_dir), *(values[0] for values in sweep_axes(null_to_none(overrides)))]
        try:
            config, failure = compose("config", job, return_hydra_config=True), None
        except COMPOSITION_ERRORS as error:
            config, failure = None, error
        else:
            comments = composed_comments(job, yaml_folders(config_dir))
            typed = [group for override in job if options(group := override.partition("=")[0])]
    if config is None:
        validate(overrides, config_dir=config_dir)
        raise failure or AssertionError
    chosen, config = config.hydra.runtime.choices, with_placeholders(config)
    parts = []
    for group in dict.fromkeys([*DESCRIBED, *(group for group in typed if group in GROUPS and group != "joined")]):
        package, name = group.replace("/", "."), f"{group}={chosen[group]}"
        rows = dict(describe_keys(to_dict(OmegaConf.select(config, package) or {}), package, comments))
        if group == "search":
            space = to_dict(config.hydra.sweeper.params)
            rows |= {f"{key}={text}": comments.get(f"hydra.sweeper.params.{key}", "") for key, text in space.items()}
        parts.append(section(f"{name}: {comments.get(name, '')}", rows))
    return "\n\n".join(parts)


def composed_comments(overrides: Sequence[str], folders: Sequence[Path]) -> dict[str, str]:
    """Return the comments of all YAML files of a config: of keys by dotted key, of files by `group=choice`.

    Hydra must be initialised. Files are read in the order in which Hydra merges them: a comment replaces the comment of
    the file that is extended.
    """
    loader = GlobalHydra.instance().config_loader()
    found: dict[str, str] = {}
    for default in loader.compute_defaults_list("config", list(overrides), RunMode.RUN).defaults:
        path = next((path for folder in folders if (path := folder / f"{default.config_path}.yaml").is_file()), None)
        if path:
            comments = key_comments(path.read_text(encoding="utf-8"))
            found["=".join((default.config_path or "").rsplit("/", 1))] = purpose(path)
            found |= {".".join(filter(None, (default.package, key))): comment for key, comment in comments.items()}
    return found


def describe_keys(node: Any, key: str, comments: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield `key=value` and the comment of each key below a node, without keys that name a class.

    A mapping of plain values that has a comment, while its keys have none, is a single value.
    """
    is_single = key in comments and not any(name.startswith(f"{key}.") for name in comments)
    if not isinstance(node, dict) or (is_single and not any(isinstance(value, dict) for value in node.values())):
        yield f"{key}={format_value(node)}", comments.get(key, "")
        return
    for name, value in node.items():
        if not str(name).startswith("_"):
            yield from describe_keys(value, f"{key}.{name}", comments)


def format_value(value: Any) -> str:
    """Return a plain value as an override writes it.

    >>> format_value(["rmse", "ndcg"]), format_value(None), format_value({"plot": 1.0})
    ('[rmse, ndcg]', 'null', '{plot: 1.0}')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def section(heading: str, rows: Mapping[str, str]) -> str:
    """Return a heading and rows of names and meanings, wrapped to the width of a terminal.

    >>> print(section("Models:", {"bias": "Offsets of users and items.", "als": ""}))
    Models:
      bias  Offsets of users and items.
      als
    """
    width = min(WIDTH, get_terminal_size().columns)
    column = max((len(name) for name in rows if len(name) <= MAX_NAME), default=0)
    lines = textwrap.wrap(heading, width)
    for name, meaning in rows.items():
        wrapped = textwrap.wrap(meaning, max(width - column - 4, 20))
        first = [] if len(name) > column or not wrapped else [wrapped.pop(0)]
        lines += textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        lines[-1] = f"{lines[-1]:{column + 4}}{''.join(first)}".rstrip()
        lines += [f"{'':{column + 4}}{line}" for line in wrapped]
    return "\n".join(lines)
