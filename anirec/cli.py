"""The command line: one function per verb. Each imports what it needs when it is called, so that `--help` is fast."""

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
    help="Experiments on anime data: recommendations, scores of titles, votes of pictures.",
)
ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
EXIT_USAGE = 2


@app.command(
    context_settings=ANY_ARGUMENTS, short_help="Run an experiment; with -m, one for each combination of values."
)
def run(context: typer.Context) -> None:
    """anirec run [-m] [--config-dir FOLDER] [key=value ...]    (--help lists all choices and keys)"""
    arguments = context.args
    if not {"--help", "-h", "--hydra-help", "--info", "-i", "--cfg", "-c"} & set(arguments):
        overrides, config_dir, is_sweep = split_arguments(arguments)
        n_jobs = validate_overrides(overrides, config_dir)
        if n_jobs > 1 and not is_sweep:
            raise UserError(f"These overrides describe {n_jobs} jobs; add -m to run them all.")
        from anirec.config.validate import hydra_overrides

        written = dict(zip(overrides, hydra_overrides(overrides, is_sweep=is_sweep), strict=True))
        arguments = [written.get(argument, argument) for argument in arguments]
    from anirec.sweeps import launch

    launch.main(arguments)


@app.command(context_settings=ANY_ARGUMENTS, short_help="Check a config, or each job of a sweep, without loading data.")
def validate(context: typer.Context) -> None:
    """anirec validate [-m] [--config-dir FOLDER] [key=value ...]"""
    overrides, config_dir, is_sweep = split_arguments(context.args)
    if "--help" in overrides:
        typer.echo(context.get_help())
        return
    n_jobs = validate_overrides(overrides, config_dir)
    typer.echo(f"{n_jobs} job{'s' * (n_jobs != 1)}, no problems" if is_sweep else "no problems")


def split_arguments(arguments: list[str]) -> tuple[list[str], str | None, bool]:
    """Return the overrides, the folder of `--config-dir` (None if not given), and whether `-m` was given."""
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


def validate_overrides(overrides: list[str], config_dir: str | None) -> int:
    """Check all jobs and return how many there are. Modules in `config_dir` become importable: its YAML may name them.

    Raises:
        UserError: With all problems of all jobs.
    """
    from anirec.config import validate as config

    if config_dir:
        folder = str(Path(config_dir).absolute())
        sys.path.append(folder)
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([others, folder] if others else [folder])  # for jobs
    return config.validate(overrides, config_dir=config_dir)


@app.command(short_help="Compare runs in a table with 95 % intervals.")
def compare(
    paths: Annotated[list[Path], typer.Argument(help="Run folders, or folders that contain runs.")],
    *,
    metric: Annotated[str | None, typer.Option(help="Metric to sort by, such as test/ndcg@10.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this CSV file, in full precision.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also test all pairs of models against each other.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with tables and plots to this file; it needs no network.")
    ] = None,
) -> None:
    """Compare runs in a table with 95 % intervals: one table for each dataset and split.

    Runs that differ only in seed, split seed or fold are averaged.
    """
    from anirec.report.compare import compare as compare_runs

    compare_runs(paths, metric=metric, csv=csv, markdown=markdown, pairs=pairs, html=html)


@app.command(short_help="Choose the best configuration of a sweep on validation data, and test it.")
def select(
    sweep: Annotated[Path, typer.Argument(help="Folder of a sweep or search, or any folder of runs.")],
    metric: Annotated[
        str | None, typer.Option(help="Validation metric to choose by; default: the runs' objective.")
    ] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Retrain on training and validation rows first.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow configs to load code from outside anirec (trusted runs only).")
    ] = False,
) -> None:
    """Choose the configuration with the best validation metric, and evaluate it alone on the test set.

    Seeds and splits of a configuration are averaged before the choice. SWEEP/selection.json records the choice, the
    number of candidates, and each time the test set was read.
    """
    from anirec.sweeps.select import select as choose

    choose(sweep, metric=metric, refit=refit, trust=trust)


@app.command(short_help="Re-run a finished run and report which metrics match.")
def reproduce(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes to its config, such as paths.data=/data.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow its config to load code from outside anirec (trusted runs only).")
    ] = False,
) -> None:
    """Re-run a finished run and report which metrics match. If some differ, list the differences in code, data, package
    versions and device, and exit with status 1."""
    from anirec.inference.reproduce import reproduce as again

    again(run, overrides=overrides or [], trust=trust)


@app.command(short_help="Run a published study; without a name, list the studies.")
def study(
    name: Annotated[
        str | None, typer.Argument(help="A study, such as cs4120_recommendation, or a folder with a study.yaml.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides for all of its commands, such as trainer=cpu."),
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Print the commands without running them.")] = False,
) -> None:
    """Run a published study and compare its results with the published figures. Without a name, list the studies.

    A study runs on the first of its datasets that is available: the full dump, a sample, another dump or generated
    data. The output says which.
    """
    from anirec.studies.study import run_study

    run_study(name, overrides=overrides or [], dry=dry)


@app.command(short_help="Predict new rows with a finished run.")
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    input: Annotated[Path, typer.Option(help="Rows with user_id and item_id, with synopsis, or with tags.")],  # noqa: A002
    output: Annotated[Path, typer.Option(help="Where to write the rows with a prediction: .csv, .jsonl or .parquet.")],
) -> None:
    """Predict new rows with the best checkpoint of a finished run."""
    from anirec.inference.predict import predict as predict_rows

    counts = predict_rows(run, input=input, output=output)
    unknown = ", ".join(f"{what}: {count}" for what, count in counts.items() if what != "rows")
    typer.echo(f"{counts['rows']} predictions in {output}; {unknown}")


@app.command(short_help="Recommend titles to a user, with reasons.")
def recommend(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of a model that ranks titles for users.")],
    *,
    user: Annotated[list[str] | None, typer.Option(help="Id of a user in the run's data; may be repeated.")] = None,
    users: Annotated[Path | None, typer.Option(help="File with ids of users, one per line.")] = None,
    likes: Annotated[
        list[str] | None,
        typer.Option(help='Ratings of a new user, dislikes too: "Cowboy Bebop=9; Monster=10; Clannad=2".'),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of titles to recommend.")] = 10,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only these types, such as TV,Movie.")] = None,
    genre: Annotated[list[str] | None, typer.Option(help="Only titles with at least one of these genres.")] = None,
    not_genre: Annotated[list[str] | None, typer.Option(help="Only titles with none of these genres.")] = None,
    year: Annotated[str | None, typer.Option(help="Year of first release: 1998, 2005-2015, 2010- or -1999.")] = None,
    min_ratings: Annotated[int, typer.Option(min=0, help="Only titles with at least this many ratings.")] = 0,
    adult: Annotated[bool, typer.Option("--adult", help="Include adult titles.")] = False,
    sequels: Annotated[
        bool, typer.Option("--sequels", help="Include sequels and several titles of a franchise.")
    ] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Include titles that the user has seen.")] = False,
    personal: Annotated[
        float, typer.Option(help="0 keeps the model's ranking; 1 subtracts what an unknown user would be shown.")
    ] = 0.0,
    novelty: Annotated[
        float, typer.Option(help="0 keeps the model's ranking; up to 1 prefers lesser known and more varied titles.")
    ] = 0.0,
    csv: Annotated[Path | None, typer.Option(help="Write the list to this CSV file.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the list to this JSON file.")] = None,
) -> None:
    """Recommend titles to users of the run's data (--user) or to a new user (--likes), with reasons.

    Titles are found by any of their names in the data, ignoring case and punctuation; #1535 names a title by its id.
    Titles similar to those rated far lower than expected are ranked lower. Of a franchise, which is found by the names
    of its titles, the first season that the user has not seen is listed.
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
        users=user or [],
        users_file=users,
        likes=likes or [],
        k=k,
        title_filter=title_filter,
        personal=personal,
        novelty=novelty,
        sequels=sequels,
        seen=seen,
        csv=csv,
        json=json,
    )


@app.command(short_help="Predict who would love a title that does not exist yet.")
def fanbase(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of model=hybrid, best with split=whole_items.")],
    *,
    input: Annotated[Path, typer.Option(help="One title or a list: .json, or .jsonl with one title per line.")],  # noqa: A002
    tastes: Annotated[int, typer.Option(min=1, help="Number of tastes (groups) to divide the users into.")] = 8,
    threshold: Annotated[float, typer.Option(help="A fan is a user who rates the title at least this high.")] = 8.0,
    nearest: Annotated[int, typer.Option(min=0, help="Number of nearest existing titles to list.")] = 5,
    adult: Annotated[bool, typer.Option("--adult", help="List adult titles, too.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the full result to this JSON file.")] = None,
) -> None:
    """Predict who would love a title that does not exist yet: its expected score, its share of fans, and their tastes.

    A title is an object such as {"title": "Paper Kingdom", "type": "TV", "genres": ["Comedy", "School"]}. Users are
    weighted by their number of ratings. Lift is how much higher a taste rates the title than users do on average,
    after subtracting how generous its users are; tastes are sorted by it. Then follow the share of fans within the
    taste, and the taste's share of all fans.
    """
    from anirec.inference.fanbase import fanbase as show

    show(run, input=input, tastes=tastes, threshold=threshold, nearest=nearest, adult=adult, json=json)


@app.command(short_help="Copy users' histories into a run folder, so that it needs neither cache nor dump.")
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of a model that ranks titles for users.")],
) -> None:
    """Copy the histories of a run's users into its folder: recommend and fanbase then need neither cache nor dump."""
    from anirec.inference.histories import export as copy

    path, n_rows = copy(run)
    typer.echo(f"{path}: {n_rows:,} list entries, {path.stat().st_size / 1e6:.1f} MB")


data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, prepare and describe the datasets.")
app.add_typer(data, name="data")


@data.command("list")
def list_datasets() -> None:
    """List all datasets, and whether their files are available."""
    from anirec.describing import datasets as inventory

    inventory.show_list()


@data.command("prepare")
def prepare_dataset(name: Annotated[str, typer.Argument(help="Name of a dataset.")]) -> None:
    """Read a dump into the cache now. A run does this by itself when it needs to."""
    from anirec.describing import datasets as inventory

    inventory.show_prepared(name)


@data.command("describe", short_help="Describe a dataset: ratings, titles, posts, and what correlates with the score.")
def describe_dataset(
    name: Annotated[str, typer.Argument(help="Name of a dataset.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides of its config, such as dataset.cleaning.ablate_below=0.2."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Plot titles or posts to this file: .png, .pdf or .svg.")] = None,
) -> None:
    """Describe a dataset.

    Ratings: counts and a histogram. Titles with synopsis and score: what cleaning drops, and whether the length of the
    synopsis or the number of main characters correlates with the score, which would be a leak. Posts: scores, the
    effect of tags on them, and tags that occur together.
    """
    from anirec.describing import describe as description

    description.show_description(name, overrides or [], figure)


@data.command("get")
def get_dataset(name: Annotated[str, typer.Argument(help="Name of a dataset.")]) -> None:
    """Print where to download a dump and where its files belong."""
    from anirec.describing import datasets as inventory

    inventory.show_origin(name)


def main() -> None:
    """Run the command line. A UserError is printed without a traceback, and exits with status 2."""
    try:
        with on_terminal():
            app()
    except UserError as error:
        typer.echo(f"anirec: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
