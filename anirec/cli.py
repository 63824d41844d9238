"""The command line. Nothing heavy is imported before a verb needs it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from anirec.errors import UserError

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
        if is_sweep:
            from anirec.config import left_to_jobs

            written = dict(zip(overrides, left_to_jobs(overrides), strict=True))
            arguments = [written.get(argument, argument) for argument in arguments]
    from anirec import launch

    launch.main(arguments)


@app.command(context_settings=ANY_ARGUMENTS, short_help="Check a config, or every job of a sweep; loads no data.")
def validate(context: typer.Context) -> None:
    """anirec validate [-m] [--config-dir FOLDER] [key=value ...]"""
    overrides, config_dir, is_sweep = split_arguments(context.args)
    if "--help" in overrides:
        typer.echo(context.get_help())
        return
    n_jobs = check(overrides, config_dir)
    typer.echo(f"{n_jobs} jobs, no problems" if is_sweep else "no problems")


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
    from anirec import config

    return config.validate(overrides, config_dir=config_dir)


@app.command(short_help="Many runs in one table, with 95 % intervals.")
def compare(
    paths: Annotated[list[Path], typer.Argument(help="Run folders, or folders of them.")],
    metric: Annotated[str | None, typer.Option(help="What to sort by.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, in full precision.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table here, for a README.")] = None,
) -> None:
    """Many runs in one table, with 95 % intervals; runs of other data or splits stand in tables of their own."""
    from anirec.report.compare import compare as compare_runs

    compare_runs(paths, metric=metric, csv=csv, markdown=markdown)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    input: Annotated[Path, typer.Option(help="Rows with user_id and item_id, or synopsis: .csv, .jsonl, .parquet.")],  # noqa: A002
    output: Annotated[Path, typer.Option(help="The same rows with a prediction: .csv, .jsonl or .parquet.")],
) -> None:
    """New rows through a finished run's best model."""
    from anirec.predict import predict as predict_rows

    counts = predict_rows(run, input=input, output=output)
    lacking = ", ".join(f"{what}: {count}" for what, count in counts.items() if what != "rows")
    typer.echo(f"{counts['rows']} predictions in {output}; {lacking}")


data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What datasets there are, and what is in them.")
app.add_typer(data, name="data")


@data.command("list")
def list_datasets() -> None:
    """Every dataset, and whether its files are here."""
    from anirec import inventory

    inventory.show_list()


@data.command("prepare")
def prepare_dataset(name: str) -> None:
    """Read a dump into the cache now; a run does it by itself."""
    from anirec import inventory

    inventory.show_prepared(name)


@data.command("describe", short_help="What is in it: ratings, titles, texts, and what goes with the score.")
def describe_dataset(
    name: str,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Such as dataset.cleaning.ablate_below=0.2.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw titles by score here: .png, .pdf or .svg.")] = None,
) -> None:
    """Counts and histogram of ratings; of titles with synopsis and score, what cleaning drops, and by score the length
    of synopses and the number of main characters, which ought to say nothing of it."""
    from anirec import description

    description.show_description(name, overrides or [], figure)


@data.command("get")
def get_dataset(name: str) -> None:
    """Where a dump comes from and where its files belong."""
    from anirec import inventory

    inventory.show_origin(name)


def main() -> None:
    """The entry point: a mistake of the user's is told in words, with exit status 2."""
    try:
        app()
    except UserError as error:
        typer.echo(f"anirec: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
