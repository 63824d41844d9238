"""The `data` verbs: which datasets there are, where they come from, where they are once prepared."""

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from anirec.config.compose import conf_folder, nearest, options
from anirec.data.prepare.cache import prepare
from anirec.data.sources.base import Dump, Source
from anirec.errors import UserError

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
        raise UserError(f"{name}: no such dataset{nearest(name, names)} There are: {', '.join(names)}")


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
