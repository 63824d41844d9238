"""The commands of `anirec data`: what datasets there are, and what the cache holds of them."""

from pathlib import Path
from typing import Annotated

import typer

from anirec.errors import UserError

data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, prepare and describe the datasets.")
ConfigDir = Annotated[
    str | None,
    typer.Option("--config-dir", "-cd", metavar="FOLDER", help="Add the YAML files of a folder to the choices."),
]


def complete_dataset() -> list[str]:
    """Return the names of the datasets."""
    from anirec.config.compose import conf_folder

    return sorted(path.stem for path in (conf_folder() / "dataset").glob("*.yaml"))


def confirm_removal() -> bool:
    """Ask whether to remove what was listed.

    Raises:
        UserError: Nobody can answer, because the input has ended.
    """
    try:
        return typer.confirm("Remove them?")
    except typer.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise  # Ctrl+C
        typer.echo()
        raise UserError("Nothing was removed: there is no terminal. Add -y to remove them.") from None


@data.command("list")
def list_datasets(config_dir: ConfigDir = None) -> None:
    """List all datasets, and whether their files are available."""
    from anirec.config.compose import make_importable
    from anirec.describing import datasets as inventory

    make_importable(config_dir)
    inventory.show_list(config_dir)


@data.command("prepare")
def prepare_dataset(
    name: Annotated[str, typer.Argument(help="Name of a dataset.", autocompletion=complete_dataset)],
    config_dir: ConfigDir = None,
) -> None:
    """Read a dump into the cache now. A run does this by itself when it needs to."""
    from anirec.config.compose import make_importable
    from anirec.describing import datasets as inventory

    make_importable(config_dir)
    inventory.show_prepared(name, config_dir)


@data.command("new", short_help="Look at a table of ratings, and write the YAML of a dataset that reads it.")
def new_dataset(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON, JSON lines or parquet, also packed as .gz or .zst.")],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: that of the file.")] = None,
    config_dir: Annotated[
        str, typer.Option("--config-dir", "-cd", metavar="FOLDER", help="Folder of your YAML files, for every command.")
    ] = "my_conf",
    columns: Annotated[
        str | None, typer.Option(metavar="OURS=COLUMN,…", help="Columns whose names do not tell: user_id=who.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="Scale of the ratings: 1-10, 0.5-5, 1-100, thumbs.")] = None,
    items: Annotated[Path | None, typer.Option(help="File of titles.")] = None,
    characters: Annotated[Path | None, typer.Option(help="File of the characters of titles.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing YAML.")] = False,
) -> None:
    """Look at a table of ratings, and write the YAML of a dataset that reads it, with comments.

    Nothing is asked. What is not certain, such as a scale that could be two, is printed, and marked with (?) in the
    YAML.

    \b
    anirec data new ratings.csv
    anirec run --config-dir my_conf dataset=ratings model=svd
    """
    from anirec.describing.new_table import new_table

    new_table(
        file,
        name=name,
        config_dir=config_dir,
        columns=columns,
        scale=scale,
        items=items,
        characters=characters,
        force=force,
    )


@data.command("clean", short_help="List what the cache holds, and remove what is no longer needed.")
def clean_cache(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Remove the tables of these datasets.", autocompletion=complete_dataset),
    ] = None,
    *,
    older_than: Annotated[
        int | None, typer.Option(metavar="DAYS", min=0, help="Remove only what was not used for this many days.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove everything.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="List the entries without removing them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them without asking.")] = False,
) -> None:
    """List what the cache holds, with sizes and the time since the last use; remove what NAME, --older-than or --all
    choose, after listing it.

    The cache holds prepared tables of datasets, vectors and pixels of texts and pictures, and hashes of files. A run
    computes what is missing again. What a process of this machine uses is kept.

    \b
    anirec data clean
    anirec data clean mal_2023
    anirec data clean --older-than 30
    """
    from anirec.config.compose import default_paths
    from anirec.describing import cached

    cache = default_paths()["cache"]
    entries = cached.find_entries(cache)
    if not entries:
        typer.echo(f"{cache}: the cache is empty")
        return
    chosen = cached.choose(entries, datasets=names or [], older_than=older_than, everything=everything)
    if not (names or everything or older_than is not None):
        cached.show_entries(entries)
        typer.echo(f"Cache: {cache}. To remove entries, give NAME, --older-than DAYS or --all.")
        return
    if not chosen:
        typer.echo(f"{cache}: nothing to remove")
        return
    cached.show_entries(chosen)
    if not dry and (yes or confirm_removal()):
        cached.remove(chosen)


@data.command("describe", short_help="Describe a dataset: ratings, titles, posts, and what correlates with the score.")
def describe_dataset(
    name: Annotated[str, typer.Argument(help="Name of a dataset.", autocompletion=complete_dataset)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides of its config, such as dataset.cleaning.ablate_below=0.2."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Plot titles or posts to this file: .png, .pdf or .svg.")] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Describe a dataset.

    Ratings: counts and a histogram. Titles with synopsis and score: what cleaning drops, and whether the length of the
    synopsis or the number of main characters correlates with the score, which would be a leak. Posts: scores, the
    effect of tags on them, and tags that occur together.
    """
    from anirec.config.compose import make_importable
    from anirec.describing import describe as description

    make_importable(config_dir)
    description.show_description(name, overrides or [], figure, config_dir)


@data.command("get", short_help="Download a dump, or print where to get it and where its files belong.")
def get_dataset(
    name: Annotated[str, typer.Argument(help="Name of a dataset.", autocompletion=complete_dataset)],
    *,
    address: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="Download from here instead; see above.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are already there.")] = False,
) -> None:
    """Download a dump from Kaggle or Zenodo into its folder under paths.data. For one that has no such address, print
    where to get it and where its files belong.

    --from takes the address of a dataset on Kaggle, of a record on Zenodo, or of a file (zip archives are unpacked);
    a checksum is compared if #sha256=… follows. SOURCE.md in the folder names source and licence. Needs the extra
    "get": pip install 'anirec[get]'.

    \b
    anirec data get animepop
    anirec data get malsugoi --from https://example.org/lists.zip
    """
    from anirec.describing import acquired

    acquired.show_download(name, address, force=force)


def complete_crawl() -> list[str]:
    """Return the names of the crawls."""
    from anirec.data.acquire.spiders import SPIDERS

    return list(SPIDERS)


@data.command("crawl", short_help="Fetch titles, lists or posts of today from the API of a site.")
def crawl_dataset(
    name: Annotated[str | None, typer.Argument(help="Name of a crawl.", autocompletion=complete_crawl)] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings: address, seconds, timeout, …")
    ] = None,
    *,
    since: Annotated[
        str, typer.Option(metavar="DAY|ID", help="Only titles or entries from a day, posts from an id.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Most titles, lists or posts.")] = None,
    users: Annotated[Path | None, typer.Option(metavar="FILE", help="Names of users, one per line, for lists.")] = None,
    keep_names: Annotated[bool, typer.Option("--keep-names", help="Keep user names; default: salted hashes.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the tables from the stored pages; no request.")
    ] = False,
) -> None:
    """Fetch titles, lists or posts of today. Without NAME, list the crawls.

    The same command continues a crawl that was killed, and after a finished one fetches what is new or has changed.
    Pages, tables and a manifest are kept in crawled-NAME/ under paths.data. Requests obey robots.txt and the limits of
    the site; seconds=5 asks more slowly.

    \b
    anirec data crawl jikan --limit 100
    anirec data crawl mal_lists --users names.txt
    anirec data crawl danbooru --since 7000000
    """
    from anirec.describing import acquired

    acquired.show_crawl(
        name, settings or [], since=since, limit=limit, users=users, keep_names=keep_names, rebuild=rebuild
    )
