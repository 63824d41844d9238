"""`anirec data list`, `get` and `prepare`, and what `data describe` needs of them: configs, tables, figure files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from anirec.atomic import replacing
from anirec.config.checks import check_targets
from anirec.config.compose import conf_folder, did_you_mean, options, to_dict
from anirec.config.validate import COMPOSITION_ERRORS, format_problems, parse_overrides, validate
from anirec.data.prepare.cache import prepare
from anirec.data.sources.base import Dump, Source
from anirec.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONSOLE = Console(highlight=False)


def create_source(name: str) -> tuple[Source, str]:
    """Return the source of a dataset and the cache folder.

    Raises:
        UserError: There is no such dataset.
    """
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        check_name(name)
        config = compose("config", [f"dataset={name}"])
        return instantiate(config.dataset.source, _convert_="all"), config.paths.cache


def check_name(name: str) -> None:
    """Raise a UserError if there is no such dataset."""
    if name not in (names := options("dataset")):
        raise UserError(f"{name}: no such dataset{did_you_mean(name, names)} Available: {', '.join(names)}")


def show_list() -> None:
    """Print every dataset, its purpose, and whether its files are present."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        names = options("dataset")
    table = Table("dataset", "description", "files", box=None, pad_edge=False)
    for name in names:
        table.add_row(name, first_comment(name), file_state(create_source(name)[0]))
    CONSOLE.print(table)


def first_comment(name: str) -> str:
    """Return the first line of the dataset's YAML up to a colon."""
    with (conf_folder() / "dataset" / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip().partition(":")[0]


def file_state(source: Source) -> str:
    """Return "generated", the number of files, or the command that says where to get them."""
    try:
        files = source.files()
    except UserError:
        return "missing; see anirec data get " + source.name
    return f"{len(files)} present" if files else "generated"


def show_prepared(name: str) -> None:
    """Prepare a dataset if necessary, and print the folder of its tables."""
    source, cache = create_source(name)
    prepared = prepare(source, cache)
    CONSOLE.print(f"Prepared tables of {name}: {prepared.folder}", soft_wrap=True)


def show_origin(name: str) -> None:
    """Print where to download a dump and where to put its files.

    Hosts require an account and consent to a licence, so anirec does not download dumps itself.
    """
    source, _ = create_source(name)
    if not isinstance(source, Dump):
        CONSOLE.print(f"{name} is generated; there is nothing to download.")
        return
    CONSOLE.print(f"Download from: {source.origin}", soft_wrap=True)
    CONSOLE.print(f"Put into: {source.folder.absolute()}", soft_wrap=True)
    for need in source.needs:
        CONSOLE.print(f"  {need}", soft_wrap=True)
    CONSOLE.print("Files: " + file_state(source).partition(";")[0])


SOURCE_KEYS = ("dataset.source", "paths")  # the keys that every description depends on
EXAMPLE_MODELS = {"user_id": "popularity", "tags": "tag_mean"}  # for each column, a model that requires it
FORMATS = (".png", ".pdf", ".svg")


def compose_dataset(name: str, overrides: Sequence[str], *, datamodule: str, keys: tuple[str, ...]) -> DictConfig:
    """Compose the config of a dataset with a datamodule.

    Args:
        name: Dataset.
        overrides: Overrides as typed.
        datamodule: Choice of the config group `datamodule`.
        keys: The keys that the description depends on.

    Raises:
        UserError: An override is invalid (with the message of `anirec validate`), or sets none of `keys`.
    """
    arguments = [f"dataset={name}", f"datamodule@dataset={datamodule}", *overrides]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        check_name(name)
        try:
            config = compose("config", arguments)
        except COMPOSITION_ERRORS as error:
            failure: Exception | None = error
        else:
            failure = None
    if failure:
        raise composition_error(name, arguments) from failure
    refuse_unread(name, overrides, keys)
    parts = {key: part for key, part in to_dict(config.dataset).items() if f"dataset.{key}" in keys}
    if problems := list(check_targets({"dataset": parts})):
        raise UserError(format_problems({problem: [] for problem in problems}, n_jobs=0))
    return config


def composition_error(name: str, overrides: Sequence[str]) -> UserError:
    """Return the error that `anirec validate` reports for overrides that do not compose."""
    source, _ = create_source(name)
    model = next((name for column, name in EXAMPLE_MODELS.items() if column in source.columns), "mean")
    try:
        validate(["split=random", f"model={model}", *overrides])
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
