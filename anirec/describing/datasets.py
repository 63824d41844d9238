"""`anirec data list`, `get` and `prepare`, and what `data describe` needs of them: configs, tables, figure files."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.markup import escape
from rich.table import Table

from anirec.atomic import replacing
from anirec.config.checks import check_targets
from anirec.config.comments import purpose
from anirec.config.compose import conf_folder, default_paths, did_you_mean, to_dict, with_folder
from anirec.config.definitions import inherits
from anirec.config.identity import SOURCE, config_nodes
from anirec.config.validate import (
    COMPOSITION_ERRORS,
    format_problems,
    null_to_none,
    parse_overrides,
    sweep_axes,
    validate,
)
from anirec.data.prepare.cache import prepare
from anirec.data.sources.base import Dump, Source
from anirec.errors import UserError
from anirec.memory import format_size
from anirec.printable import Console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONSOLE = Console(highlight=False)
MISSING = "missing"
MOST_LISTED = 10  # files of a source that `anirec validate` lists
UNITS = {"rows": "entries", "posts": "posts", "items": "titles"}  # of the largest table of a dataset
SAMPLE_SHARE = 0.25  # a copy with fewer of the published rows is a sample


def create_source(name: str, config_dir: str | None = None) -> tuple[Source, str]:
    """Return the source of a dataset and the cache folder.

    Raises:
        UserError: There is no such dataset, or its YAML is wrong.
    """
    check_name(name, config_dir)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose_source(name, config_dir), str(default_paths()["cache"])


def dataset_files(config_dir: str | None) -> dict[str, Path]:
    """Return the YAML file of each dataset by name, sorted; those of anirec precede those of a folder of the user's.

    Raises:
        UserError: There is no such folder.
    """
    folders = [conf_folder()]
    if config_dir:
        if not Path(config_dir).is_dir():
            raise UserError(f"--config-dir {config_dir}: no such folder")
        folders.insert(0, Path(config_dir))
    return dict(sorted((path.stem, path) for folder in folders for path in (folder / "dataset").glob("*.yaml")))


def compose_source(name: str, config_dir: str | None = None) -> Source:
    """Return the source of a dataset; Hydra must be initialised.

    A YAML that names the class of the source is read alone, which is twenty times as fast as composing a config.
    """
    path = dataset_files(config_dir)[name]
    try:
        own = OmegaConf.load(path)
        if OmegaConf.select(own, "source._target_") and "defaults" not in own:
            node = OmegaConf.create({"paths": {key: str(path) for key, path in default_paths().items()}, **own}).source
        else:
            node = compose("config", [*with_folder(config_dir), f"dataset={name}"]).dataset.source
    except (yaml.YAMLError, OmegaConfBaseException, HydraException) as error:
        raise UserError(f"{path}: {error}") from None
    if problems := list(check_targets({"dataset": {"source": to_dict(node)}})):
        raise UserError("\n".join([f"{path}:", *(f"- {problem}" for problem in problems)]))
    source: Source = create_object(node)
    return source


def check_name(name: str, config_dir: str | None = None) -> None:
    """Raise a UserError if there is no such dataset."""
    if name not in (names := list(dataset_files(config_dir))):
        raise UserError(f"{name}: no such dataset{did_you_mean(name, names)} Available: {', '.join(names)}")


def show_list(config_dir: str | None = None) -> None:
    """Print every dataset, with its number of rows, whether its files are present, and its purpose."""
    paths, files = default_paths(), dataset_files(config_dir)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        sources = {name: compose_source(name, config_dir) for name in files}
    table = Table("dataset", "rows", "files", "description", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[1].justify = "right"
    table.columns[3].overflow = "fold"
    states = {name: file_state(source) for name, source in sources.items()}
    for name, source in sources.items():
        rows = count_rows(cached_report(source, paths["cache"]) if states[name] != MISSING else {})
        state = "sample" if is_sample(source, rows) else states[name]
        table.add_row(name, f"{rows[0]:,} {rows[1]}" if rows else "", state, first_comment(files[name]))
    CONSOLE.print(table)
    CONSOLE.print(f"\nDumps belong in {paths['data'].absolute()} (paths.data, set by ANIREC_DATA).", soft_wrap=True)
    if MISSING in states.values():
        CONSOLE.print("For a missing one, `anirec data get NAME` downloads it, or prints its address.")
    CONSOLE.print("Rows are known for datasets that a run or `anirec data prepare NAME` has read.")


def first_comment(path: Path) -> str:
    """Return the first line of a dataset's YAML up to a colon, without its address."""
    return re.sub(r" \(Kaggle [^)]*\)", "", purpose(path).partition(":")[0])


def file_state(source: Source) -> str:
    """Return "generated", "missing", or the number of files."""
    try:
        files = source.files()
    except UserError:
        return MISSING
    return f"{len(files)} present" if files else "generated"


def files_to_read(overrides: Sequence[str], config_dir: str | None) -> tuple[list[str], list[str]]:
    """Return lines about the files that each source of valid overrides reads, with sizes; no file is read.

    Second, a message for each source whose files are missing.
    """
    lines: dict[str, None] = {}
    missing: dict[str, None] = {}
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        axes = [axis if axis[0].startswith("dataset=") else axis[:1] for axis in sweep_axes(null_to_none(overrides))]
        for job in product(*axes):
            config = compose("config", [*with_folder(config_dir), *job])
            nodes = config_nodes(to_dict(config.dataset), "dataset")
            for key, node in sorted(nodes, key=lambda node: node[0] != "dataset.source"):
                if inherits(str(node.get("_target_")), SOURCE):
                    try:
                        source: Source = instantiate(node, _convert_="all")
                        lines |= dict.fromkeys(describe_files(key, source.name, source.files()))
                    except UserError as error:
                        missing[str(error)] = None
    return list(lines), list(missing)


def describe_files(key: str, name: str, files: Sequence[Path]) -> list[str]:
    """Return lines about the files of a source: their number and size, then name and size of each."""
    if not files:
        return []
    sizes = [path.stat().st_size for path in files]
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    lines = [f"{key} ({name}): {count}, {format_size(sum(sizes))}, in {files[0].parent.absolute()}"]
    listed = zip(files[:MOST_LISTED], sizes, strict=False)
    lines += [f"  {path.name}  {format_size(size)}" for path, size in listed]
    return lines + ([f"  and {len(files) - MOST_LISTED:,} more"] if len(files) > MOST_LISTED else [])


def cached_report(source: Source, cache: Path) -> dict[str, Any]:
    """Return the newest report of the prepared tables of a source; empty if they are not in the cache.

    Files are compared by name and size: hashing a dump takes seconds.
    """
    files = {path.name: path.stat().st_size for path in source.files()}
    identity = source.identity()
    paths = sorted((cache / "tables").glob(f"{source.name}-*/report.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(paths):
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if report["files"] == files and report["source"] == identity:
            return report
    return {}


def count_rows(report: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the number of rows of the largest table of a report, and what they are; None without a report."""
    return next(((int(report[f"{name}_kept"]), unit) for name, unit in UNITS.items() if f"{name}_kept" in report), None)


def count_dropped(report: Mapping[str, Any]) -> str:
    """Return how many rows of its largest table were not kept, as text.

    >>> count_dropped({"rows_kept": 9, "rows_rejected": 1200, "duplicates_removed": 3, "items_rejected": 7})
    'rejected: 1,200, duplicates: 3'
    """
    name = next(name for name in UNITS if f"{name}_kept" in report)
    duplicates = report["duplicates_removed" if name == "rows" else f"duplicate_{name}_removed"]
    return f"rejected: {report[f'{name}_rejected']:,}, duplicates: {duplicates:,}"


def is_sample(source: Source, rows: tuple[int, str] | None) -> bool:
    """Whether the files are a part of the published dump, by their names or by their number of rows."""
    if not isinstance(source, Dump):
        return False
    samples = {need.sample for need in source.needs}
    present = {path.name for need in source.needs for path in need.find(source.folder)}
    return bool(samples & present) or (rows is not None and rows[0] < SAMPLE_SHARE * source.n_published)


def show_prepared(name: str, config_dir: str | None = None) -> None:
    """Prepare a dataset if necessary, and print how many rows its largest table has, and the folder of its tables."""
    source, cache = create_source(name, config_dir)
    prepared = prepare(source, cache)
    rows = count_rows(prepared.report)
    counts = f"{rows[0]:,} {rows[1]} ({count_dropped(prepared.report)})" if rows else "no rows"
    CONSOLE.print(f"Prepared tables of {name}: {counts}\n{escape(str(prepared.folder))}", soft_wrap=True)


def show_origin(name: str) -> None:
    """Print where to download a dump and where to put its files."""
    source, _ = create_source(name)
    if not isinstance(source, Dump):
        what = "is generated" if file_state(source) == "generated" else "reads files of your own"
        CONSOLE.print(f"{name} {what}; there is nothing to download.")
        return
    CONSOLE.print(f"Download from: {source.origin}", soft_wrap=True)
    CONSOLE.print(f"Put into: {source.folder.absolute()}", soft_wrap=True)
    for need in source.needs:
        CONSOLE.print(f"  {need}", soft_wrap=True)
    CONSOLE.print(f"Files: {file_state(source)}")


SOURCE_KEYS = ("dataset.source", "paths")  # the keys that every description depends on
EXAMPLE_MODELS = {"user_id": "popularity", "tags": "tag_mean"}  # for each column, a model that requires it
FORMATS = (".png", ".pdf", ".svg")


def compose_dataset(
    name: str, overrides: Sequence[str], *, datamodule: str, keys: tuple[str, ...], config_dir: str | None = None
) -> DictConfig:
    """Compose the config of a dataset with a datamodule.

    Args:
        name: Dataset.
        overrides: Overrides as typed.
        datamodule: Choice of the config group `datamodule`.
        keys: The keys that the description depends on.
        config_dir: Folder of further YAML files.

    Raises:
        UserError: An override is invalid (with the message of `anirec validate`), or sets none of `keys`.
    """
    arguments = [f"dataset={name}", f"datamodule@dataset={datamodule}", *overrides]
    check_name(name, config_dir)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            config = compose("config", [*with_folder(config_dir), *arguments])
        except COMPOSITION_ERRORS as error:
            failure: Exception | None = error
        else:
            failure = None
    if failure:
        raise composition_error(name, arguments, config_dir) from failure
    refuse_unread(name, overrides, keys)
    parts = {key: part for key, part in to_dict(config.dataset).items() if f"dataset.{key}" in keys}
    if problems := list(check_targets({"dataset": parts})):
        raise UserError(format_problems({problem: [] for problem in problems}, n_jobs=0))
    return config


def composition_error(name: str, overrides: Sequence[str], config_dir: str | None) -> UserError:
    """Return the error that `anirec validate` reports for overrides that do not compose."""
    source, _ = create_source(name, config_dir)
    model = next((name for column, name in EXAMPLE_MODELS.items() if column in source.columns), "mean")
    try:
        validate(["split=random", f"model={model}", *overrides], config_dir=config_dir)
    except UserError as error:
        return error
    return UserError("A key has several values; data describe takes one value per key.")


def refuse_unread(name: str, overrides: Sequence[str], keys: tuple[str, ...], why: str = "") -> None:
    """Raise a UserError if an override sets none of these keys; `why` is appended to the message."""
    unread = [
        override.input_line or ""
        for override in parse_overrides(overrides)
        if not any(f"{override.key_or_group}.".startswith(f"{key}.") for key in keys)
    ]
    if unread:
        problem = f"{', '.join(unread)}: no effect on the description of {name}, which depends on {', '.join(keys)}."
        raise UserError(f"{problem} {why}".strip())


def create_object(node: DictConfig | None) -> Any:
    """Instantiate a config node; an error of the constructor is raised without Hydra's wrapper."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


def print_table(table: Table) -> None:
    """Print a table and an empty line."""
    CONSOLE.print(table)
    CONSOLE.print()


def save_figure(figure: "Figure", path: Path, dataset: str) -> None:
    """Save a figure in the format of the file's suffix, with the dataset in its title.

    Raises:
        UserError: The file cannot be written.
    """
    from anirec.figures.style import name_origin

    name_origin(figure, dataset)
    try:
        with replacing(path) as unfinished:
            figure.savefig(unfinished, format=path.suffix[1:].lower())
    except OSError as error:
        raise UserError(f"--figure {path}: cannot be written: {error.strerror}") from None
