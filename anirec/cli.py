"""The command line. Nothing heavy is imported before a verb needs it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from anirec.errors import UserError
from anirec.notices import on_terminal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Experiments on anime data: how good will a title be judged, and who will love it?",
)
ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
EXIT_USAGE = 2


@app.command(context_settings=ANY_ARGUMENTS, short_help="One experiment; with -m one for each combination of values.")
def run(context: typer.Context) -> None:
    """anirec run [-m] [--config-dir FOLDER] [key=value ...]    (--help lists every choice and key)"""
    arguments = context.args
    if not {"--help", "-h", "--hydra-help", "--info", "-i", "--cfg", "-c"} & set(arguments):
        overrides, config_dir, is_sweep = split_arguments(arguments)
        n_jobs = check(overrides, config_dir)
        if n_jobs > 1 and not is_sweep:
            raise UserError(f"These overrides make {n_jobs} jobs; add -m to run them all.")
        from anirec.config.validate import for_hydra

        written = dict(zip(overrides, for_hydra(overrides, is_sweep=is_sweep), strict=True))
        arguments = [written.get(argument, argument) for argument in arguments]
    from anirec.sweeps import launch

    launch.main(arguments)


@app.command(context_settings=ANY_ARGUMENTS, short_help="Check a config, or every job of a sweep; loads no data.")
def validate(context: typer.Context) -> None:
    """anirec validate [-m] [--config-dir FOLDER] [key=value ...]"""
    overrides, config_dir, is_sweep = split_arguments(context.args)
    if "--help" in overrides:
        typer.echo(context.get_help())
        return
    n_jobs = check(overrides, config_dir)
    typer.echo(f"{n_jobs} job{'s' * (n_jobs != 1)}, no problems" if is_sweep else "no problems")


def split_arguments(arguments: list[str]) -> tuple[list[str], str | None, bool]:
    """Overrides, the folder of the user's own YAML, and whether this is a multirun."""
    overrides, config_dir, rest = [], None, iter(arguments)
    is_sweep = False
    for argument in rest:
        if argument in ("-m", "--multirun"):
            is_sweep = True
        elif argument in ("--config-dir", "-cd"):
            config_dir = next(rest, None)
        elif argument.startswith("--config-dir="):
            config_dir = argument.partition("=")[2]
        else:
            overrides.append(argument)
    return overrides, config_dir, is_sweep


def check(overrides: list[str], config_dir: str | None) -> int:
    """How many jobs there are, all without a problem. The user's folder brings YAML, and modules of their own."""
    from anirec.config import validate as config

    if config_dir:
        folder = str(Path(config_dir).absolute())
        sys.path.append(folder)
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([others, folder] if others else [folder])  # of a sweep's processes
    return config.validate(overrides, config_dir=config_dir)


@app.command(short_help="Many runs in one table, with 95 % intervals.")
def compare(
    paths: Annotated[list[Path], typer.Argument(help="Run folders, or folders of them.")],
    *,
    metric: Annotated[str | None, typer.Option(help="What to sort by.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, in full precision.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, for a README.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also test every two of them against each other.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with tables and plots here; needs no network.")
    ] = None,
) -> None:
    """Many runs in one table, with 95 % intervals; runs of other data or splits stand in tables of their own."""
    from anirec.report.compare import compare as compare_runs

    compare_runs(paths, metric=metric, csv=csv, markdown=markdown, pairs=pairs, html=html)


@app.command(short_help="The best configuration of a sweep by validation, tested once.")
def select(
    sweep: Annotated[Path, typer.Argument(help="A sweep's folder, or any folder of runs.")],
    metric: Annotated[str | None, typer.Option(help="A validation metric; default: the runs' own objective.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Train it anew on training and validation rows.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Let configs name code that is no part of anirec.")] = False,
) -> None:
    """Choose by validation, then measure on the test set what was chosen, and nothing else.

    Seeds and splits of one configuration are averaged before the choice. What was chosen, of how many, stands in
    SWEEP/selection.json.
    """
    from anirec.sweeps.select import select as choose

    choose(sweep, metric=metric, refit=refit, trust=trust)


@app.command(short_help="A finished run once more: which metrics are equal, and what differs.")
def reproduce(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Such as paths.data=/data, or trainer.devices=2.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Let its config name code that is no part of anirec.")] = False,
) -> None:
    """Run a finished run's config again, and say which metrics are equal; if not, what differs: code, data, versions,
    device."""
    from anirec.inference.reproduce import reproduce as again

    again(run, overrides=overrides or [], trust=trust)


@app.command(short_help="A published study on whatever data is here; without a name: which there are.")
def study(
    name: Annotated[str | None, typer.Argument(help="Such as cs4120_recommendation.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Such as trainer=cpu; for all of its commands.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only print the commands.")] = False,
) -> None:
    """Run a published study on the full dump, on a sample of it, or else on generated data; says which."""
    from anirec.studies.study import study as run_study

    run_study(name, overrides=overrides or [], dry=dry)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    input: Annotated[Path, typer.Option(help="Rows of user_id and item_id, of synopsis, or of tags.")],  # noqa: A002
    output: Annotated[Path, typer.Option(help="The same rows with a prediction: .csv, .jsonl or .parquet.")],
) -> None:
    """New rows through a finished run's best model."""
    from anirec.inference.predict import predict as predict_rows

    counts = predict_rows(run, input=input, output=output)
    lacking = ", ".join(f"{what}: {count}" for what, count in counts.items() if what != "rows")
    typer.echo(f"{counts['rows']} predictions in {output}; {lacking}")


@app.command(short_help="What to watch next, for a user of the data or for anybody else; with reasons.")
def recommend(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, of a model that ranks titles for users.")],
    *,
    user: Annotated[str | None, typer.Option(help="Id of a user of the run's data.")] = None,
    likes: Annotated[list[str] | None, typer.Option(help='Titles and ratings: "Cowboy Bebop=9; Monster=10".')] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the list.")] = 10,
    types: Annotated[list[str] | None, typer.Option("--type", help="TV,Movie: any of them.")] = None,
    genre: Annotated[list[str] | None, typer.Option(help="At least one of these genres.")] = None,
    not_genre: Annotated[list[str] | None, typer.Option(help="None of these genres.")] = None,
    year: Annotated[str | None, typer.Option(help="First on air in 1998, 2005-2015, 2010- or -1999.")] = None,
    min_ratings: Annotated[int, typer.Option(min=0, help="Rated by at least so many people.")] = 0,
    adult: Annotated[bool, typer.Option("--adult", help="Adult titles too.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Also what they have seen.")] = False,
    personal: Annotated[float, typer.Option(help="0: as the model ranks; up to 1: less what it tells anybody.")] = 0.0,
    novelty: Annotated[float, typer.Option(help="0: the best scores; up to 1: lesser known and more varied.")] = 0.0,
    csv: Annotated[Path | None, typer.Option(help="Write the list here.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the list here.")] = None,
) -> None:
    """What to watch next, for a user of the run's data or for anybody else, with reasons.

    Titles are found whatever their capitals and punctuation, in any language that the data know; #1535 is a title's id.
    """
    from anirec.inference.lists import TitleFilter, parse_years, split_commas
    from anirec.inference.recommend import recommend as show

    title_filter = TitleFilter(
        types=split_commas(types or []),
        genres=split_commas(genre or []),
        not_genres=split_commas(not_genre or []),
        years=parse_years(year),
        min_ratings=min_ratings,
        adult=adult,
    )
    show(
        run,
        user=user,
        likes=likes or [],
        k=k,
        title_filter=title_filter,
        personal=personal,
        novelty=novelty,
        seen=seen,
        csv=csv,
        json=json,
    )


@app.command(short_help="Who would love a title that does not exist yet: score, fans, tastes, nearest titles.")
def fanbase(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, of model=hybrid; best with split=whole_items.")],
    *,
    input: Annotated[Path, typer.Option(help="One title or a list: .json, or .jsonl with one a line.")],  # noqa: A002
    tastes: Annotated[int, typer.Option(min=1, help="Into how many tastes users are divided.")] = 8,
    threshold: Annotated[float, typer.Option(help="Who rates a title so high is a fan.")] = 8.0,
    nearest: Annotated[int, typer.Option(min=0, help="How many of the nearest existing titles are named.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Write everything here.")] = None,
) -> None:
    """Who would love a title that does not exist yet: expected score and share of fans, and the tastes they come from.

    A title is an object such as {"title": "Paper Kingdom", "type": "TV", "genres": ["Comedy", "School"]}. Users count
    as often as they rate. Lift: how much more a taste would give it than others, were all equally generous.
    """
    from anirec.inference.fanbase import fanbase as show

    show(run, input=input, tastes=tastes, threshold=threshold, nearest=nearest, json=json)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, of a model that ranks titles for users.")],
) -> None:
    """Copy the lists of a run's users into its folder: recommend and fanbase then need neither cache nor dump."""
    from anirec.inference.histories import export as copy

    path, n_rows = copy(run)
    typer.echo(f"{path}: {n_rows:,} list entries, {path.stat().st_size / 1e6:.1f} MB")


data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What datasets there are, and what is in them.")
app.add_typer(data, name="data")


@data.command("list")
def list_datasets() -> None:
    """Every dataset, and whether its files are here."""
    from anirec.describing import datasets as inventory

    inventory.show_list()


@data.command("prepare")
def prepare_dataset(name: str) -> None:
    """Read a dump into the cache now; a run does it by itself."""
    from anirec.describing import datasets as inventory

    inventory.show_prepared(name)


@data.command("describe", short_help="What is in it: ratings, titles, texts, and what goes with the score.")
def describe_dataset(
    name: str,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Such as dataset.cleaning.ablate_below=0.2.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw titles or posts here: .png, .pdf or .svg.")] = None,
) -> None:
    """Counts and histogram of ratings; of titles with synopsis and score, what cleaning drops, and by score the length
    of synopses and the number of main characters, which ought to say nothing of it; of posts, their scores, what tags
    do to them, and which tags go together."""
    from anirec.describing import describe as description

    description.show_description(name, overrides or [], figure)


@data.command("get")
def get_dataset(name: str) -> None:
    """Where a dump comes from and where its files belong."""
    from anirec.describing import datasets as inventory

    inventory.show_origin(name)


def main() -> None:
    """The entry point: a mistake of the user's is told in words, with exit status 2."""
    try:
        with on_terminal():
            app()
    except UserError as error:
        typer.echo(f"anirec: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
