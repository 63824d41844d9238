"""The `data` verbs: which datasets there are, where they come from, where they are once prepared."""

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


def source_of(name: str) -> tuple[Source, str]:
    """The reader of a dataset, and the cache folder."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        check_name(name)
        config = compose("config", [f"dataset={name}"])
        return instantiate(config.dataset.source, _convert_="all"), config.paths.cache


def check_name(name: str) -> None:
    """Raise a UserError if there is no such dataset."""
    if name not in (names := options("dataset")):
        raise UserError(f"{name}: no such dataset{did_you_mean(name, names)} There are: {', '.join(names)}")


def show_list() -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        names = options("dataset")
    table = Table("dataset", "what", "files", box=None, pad_edge=False)
    for name in names:
        table.add_row(name, purpose(name), presence(source_of(name)[0]))
    CONSOLE.print(table)


def purpose(name: str) -> str:
    """The first line of the YAML."""
    with (conf_folder() / "dataset" / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip().partition(":")[0]


def presence(source: Source) -> str:
    try:
        files = source.files()
    except UserError:
        return "missing: anirec data get " + source.name
    return f"{len(files)} here" if files else "generated"


def show_prepared(name: str) -> None:
    source, cache = source_of(name)
    prepared = prepare(source, cache)
    CONSOLE.print(f"{name} is in {prepared.folder}", soft_wrap=True)


def show_origin(name: str) -> None:
    """Dumps are behind their hosts' accounts and licences: a person fetches them."""
    source, _ = source_of(name)
    if not isinstance(source, Dump):
        CONSOLE.print(f"{name} is generated; there is nothing to get.")
        return
    CONSOLE.print(f"From: {source.origin}", soft_wrap=True)
    CONSOLE.print(f"Into: {source.folder.absolute()}", soft_wrap=True)
    for need in source.needs:
        CONSOLE.print(f"  {need}", soft_wrap=True)
    CONSOLE.print(f"State: {presence(source)}")


OF_ANY = ("dataset.source", "paths")  # the keys that any description depends on
ANY_MODEL = {"user_id": "popularity", "tags": "tag_mean"}  # one that learns from such a column
FORMATS = (".png", ".pdf", ".svg")


def composed(name: str, overrides: Sequence[str], *, datamodule: str, keys: tuple[str, ...]) -> DictConfig:
    """The config of the dataset as that datamodule has it.

    Args:
        keys: What the description depends on.

    Raises:
        UserError: Some override is wrong, as `anirec validate` would say it, or is not of `keys`.
    """
    whole = [f"dataset={name}", f"datamodule@dataset={datamodule}", *overrides]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        check_name(name)
        try:
            config = compose("config", whole)
        except COMPOSITION_ERRORS as error:
            found: Exception | None = error
        else:
            found = None
    if found:
        raise wrong(name, whole) from found
    refuse_unread(name, overrides, keys)
    parts = {key: part for key, part in to_dict(config.dataset).items() if f"dataset.{key}" in keys}
    if problems := list(check_targets({"dataset": parts})):
        raise UserError(format_problems({problem: [] for problem in problems}, n_jobs=0))
    return config


def wrong(name: str, overrides: Sequence[str]) -> UserError:
    """What `anirec validate` says of overrides that do not compose."""
    source, _ = source_of(name)
    model = next((name for column, name in ANY_MODEL.items() if column in source.columns), "mean")
    makes_do = ["split=random", f"model={model}"]
    try:
        validate([*makes_do, *overrides])
    except UserError as error:
        return error
    return UserError("Several values for a key: one description is made at a time.")


def refuse_unread(name: str, overrides: Sequence[str], keys: tuple[str, ...], why: str = "") -> None:
    """Raise a UserError if some override is of none of these keys."""
    unread = [
        override.input_line or ""
        for override in parse_overrides(overrides)
        if not any(f"{override.key_or_group}.".startswith(f"{key}.") for key in keys)
    ]
    if unread:
        told = f"{', '.join(unread)}: this changes nothing of what is said of {name}; what does: {', '.join(keys)}."
        raise UserError(f"{told} {why}".strip())


def made(node: DictConfig | None) -> Any:
    """What the node's `_target_` makes of it; an error in there comes out as itself."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


def show(table: Table) -> None:
    CONSOLE.print(table)
    CONSOLE.print()


def write(figure: "Figure", path: Path) -> None:
    """
    Raises:
        UserError: It cannot be written there.
    """
    try:
        with replacing(path) as beside:
            figure.savefig(beside, format=path.suffix[1:].lower())
    except OSError as error:
        raise UserError(f"--figure {path}: it cannot be written there: {error.strerror}") from None
