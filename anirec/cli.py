"""The command line: one function per verb. Each imports what it needs when it is called, so that `--help` is fast."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.completion import completion_init

from anirec import printable
from anirec.cli_data import ConfigDir, confirm_removal, data
from anirec.errors import UserError
from anirec.notices import on_terminal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Experiments on anime data: recommendations, scores of titles, votes of pictures.",
)
app.add_typer(data, name="data")
# Hydra has options of its own, and `--help` depends on the overrides.
PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}
EXIT_USAGE = 2


def complete(context: typer.Context, incomplete: str) -> list[str]:
    """Return the completions of an override."""
    from anirec.config.completion import complete_override

    given = context.params
    try:
        return complete_override(incomplete, given.get("overrides") or [], config_dir=given.get("config_dir"))
    except Exception:  # overrides that do not compose: a message would disturb the line that is being typed
        return []


def complete_study() -> list[str]:
    """Return the names of the studies."""
    from anirec.studies.definition import study_names

    return study_names()


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Choices, such as model=svd, and keys, such as model.lr=0.01. With -m, several values: seed=1,2,3.",
        autocompletion=complete,
    ),
]
Multirun = Annotated[bool, typer.Option("--multirun", "-m", help="One job for each combination of values.")]
Help = Annotated[
    bool,
    typer.Option("--help", "-h", help="Show this message and all choices; after KEY=VALUE, the keys of these choices."),
]


def print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"anirec {version('anirec')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Declare the options of `anirec` itself."""


@app.command(context_settings=PASSED_ON, short_help="Run an experiment; with -m, one for each combination of values.")
def run(
    context: typer.Context,
    overrides: Overrides = None,
    multirun: Multirun = False,
    config_dir: ConfigDir = None,
    help: Help = False,  # noqa: A002
) -> None:
    """Run an experiment; with -m, one for each combination of values.

    \b
    anirec run dataset=mal_2016 model=svdpp
    anirec run -m model=popularity,item_knn,svdpp seed=1,2,3

    Hydra's own options work too: --cfg job prints the composed config.
    """
    typed = arguments = overrides or []
    if help:
        show_help(context, typed, config_dir)
        return
    if not {"--hydra-help", "--info", "-i", "--cfg", "-c"} & set(typed):
        validate_overrides(typed, config_dir, multirun=multirun)
        from anirec.config.validate import hydra_overrides

        arguments = hydra_overrides(typed, is_sweep=multirun)
    from anirec.sweeps import launch

    of_hydra = [*(["-m"] if multirun else []), *(["--config-dir", config_dir] if config_dir else [])]
    launch.main([*of_hydra, *arguments], typed=[*of_hydra, *typed])


@app.command(context_settings=PASSED_ON, short_help="Check a config, or each job of a sweep, without loading data.")
def validate(
    context: typer.Context,
    overrides: Overrides = None,
    multirun: Multirun = False,
    config_dir: ConfigDir = None,
    help: Help = False,  # noqa: A002
) -> None:
    """Check the config of a run, or of each job of a sweep, without loading data. `anirec run` does so first.

    The files that a run would read are listed with their sizes. Missing ones are reported, but are no error: a run may
    be meant for another machine.

    \b
    anirec validate dataset=mal_2016 model=svdpp
    anirec validate -m model=popularity,item_knn,svdpp seed=1,2,3
    """
    if help:
        show_help(context, overrides or [], config_dir)
        return
    n_jobs = validate_overrides(overrides or [], config_dir, multirun=multirun)
    typer.echo(f"{n_jobs} job{'s' * (n_jobs != 1)}, no problems" if multirun else "no problems")
    from anirec.describing.datasets import files_to_read

    lines, missing = files_to_read(overrides or [], config_dir)
    for line in lines:
        typer.echo(line)
    for message in missing:
        typer.echo(f"Note: a run needs files that are missing here. {message}", err=True)


def show_help(context: typer.Context, overrides: list[str], config_dir: str | None) -> None:
    """Print the options, then all choices, or the keys of the config that the overrides compose."""
    from anirec.config import help as config_help

    described = config_help.list_keys(overrides, config_dir) if overrides else config_help.list_choices(config_dir)
    typer.echo(f"{context.get_help()}\n\n{described}")


def validate_overrides(overrides: list[str], config_dir: str | None, *, multirun: bool) -> int:
    """Check all jobs and return how many there are. Modules in `config_dir` become importable: its YAML may name them.

    Raises:
        UserError: With all problems of all jobs; or there are several jobs, but no `-m`.
    """
    from anirec.config import validate as config
    from anirec.config.compose import make_importable

    make_importable(config_dir)
    n_jobs = config.validate(overrides, config_dir=config_dir)
    if n_jobs > 1 and not multirun:
        raise UserError(f"These overrides describe {n_jobs} jobs; add -m to run them all.")
    return n_jobs


@app.command(short_help="Compare runs in a table with 95% intervals.")
def compare(
    paths: Annotated[list[Path], typer.Argument(help="Run folders, or folders that contain runs.")],
    *,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric to sort by, such as ndcg@10 or val/rmse; default: the objective of the runs."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only these runs: model=svd,svdpp, n_factors>=40, state=failed, or any key of the config."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this CSV file, in full precision.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also test all pairs of models against each other.")] = False,
    lists: Annotated[
        bool,
        typer.Option("--lists", help="Also print the lists of the same ten users by the best models, side by side."),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with tables and plots to this file; it needs no network.")
    ] = None,
) -> None:
    """Compare runs in a table with 95% intervals: one table for each dataset and split.

    Runs that differ only in seed, split seed or fold are averaged; windows of split=rolling and air_date are listed as
    a backtest, too. Settings are shown only where configurations of a
    model differ. --where may be repeated; a run must fulfil all of the conditions.
    """
    from anirec.report.compare import compare as compare_runs

    compare_runs(
        paths, metric=metric, where=where or [], csv=csv, markdown=markdown, pairs=pairs, lists=lists, html=html
    )


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


@app.command(short_help="Train a finished run further on newer interactions.")
def update(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of a rating model.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to its config, such as split.fold=2 or model.epochs=5."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow its config to load code from outside anirec (trusted runs only).")
    ] = False,
) -> None:
    """Train a finished run further on newer interactions, with new users and titles, and compare it with the run as it
    was on what came later.

    The files of the dataset may have changed since the run, or KEY=VALUE chooses a later window of split=rolling.
    Models that learn step by step continue from the checkpoint; others are trained from scratch, and the output says
    so. Two run folders are written: MODEL_before, the old model on the new test rows, and MODEL_updated. All rows that
    are held out must be later than those the run has learned from, as split=temporal, rolling and air_date allow.

    \b
    anirec run dataset=mal_2018 model=svd split=rolling split.fold=1
    anirec update outputs/mal_2018/svd/RUN split.fold=3
    """
    from anirec.inference.update import update as continue_run

    continue_run(run, overrides=overrides or [], trust=trust)


@app.command(short_help="Run a published study; without a name, list the studies.")
def study(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A study, such as cs4120_recommendation, or a folder with a study.yaml.", autocompletion=complete_study
        ),
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
    input: Annotated[Path, typer.Option(help="Rows with user_id and item_id (or title), with synopsis, or with tags.")],  # noqa: A002
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
    own_list: Annotated[
        Path | None,
        typer.Option(
            "--list", help="List of a new user: export of MyAnimeList, AniList or Kitsu, or a CSV of titles and scores."
        ),
    ] = None,
    list_scale: Annotated[
        str | None, typer.Option(help="Scale of the scores on the list, such as 1-10 or 0.5-5; default: the site's.")
    ] = None,
    unused: Annotated[
        Path | None,
        typer.Option(help="CSV file for what cannot be used of the list; default: next to it, ending in .unused.csv."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask about titles that are not sure; skip them.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of titles to recommend.")] = 10,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only these types, such as TV,Movie.")] = None,
    genre: Annotated[list[str] | None, typer.Option(help="Only titles with at least one of these genres.")] = None,
    not_genre: Annotated[list[str] | None, typer.Option(help="Only titles with none of these genres.")] = None,
    year: Annotated[str | None, typer.Option(help="Year of first release: 1998, 2005-2015, 2010- or -1999.")] = None,
    min_ratings: Annotated[int, typer.Option(min=0, help="Only titles with at least this many ratings.")] = 0,
    adult: Annotated[
        bool, typer.Option("--adult", help="Include adult titles, and those without genres and age rating.")
    ] = False,
    sequels: Annotated[
        bool, typer.Option("--sequels", help="Include sequels, and specials and films of a series.")
    ] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Include titles that the user has seen or dropped.")] = False,
    skip_planned: Annotated[
        bool, typer.Option("--skip-planned", help="Leave out titles on the user's plan-to-watch list.")
    ] = False,
    personal: Annotated[
        float, typer.Option(help="0 keeps the model's ranking; 1 subtracts what an unknown user would be shown.")
    ] = 0.0,
    novelty: Annotated[
        float, typer.Option(help="0 keeps the model's ranking; up to 1 prefers lesser known and more varied titles.")
    ] = 0.0,
    csv: Annotated[Path | None, typer.Option(help="Write the list to this CSV file.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the list to this JSON file.")] = None,
) -> None:
    """Recommend titles to users of the run's data (--user) or to a new user (--likes or --list), with reasons.

    Titles are found by any of their names in the data; #1535 names a title by its id. Case, accents and spaces do not
    matter, but numbers and the signs of sequels (!!) do. A title that is not sure is asked on a terminal. Ratings may
    be written as 9, 8.5, 9/10, 85% or ★★★★. On a list, planned titles may be recommended, and dropped ones may not.
    A rating that is lower than expected of the user and the title by more than a third of the scale is a dislike:
    similar titles are ranked lower. Of a series and its sequels, specials and films, found by their names, the
    first season that the user has not seen is listed.
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
        own_list=own_list,
        list_scale=list_scale,
        unused=unused,
        yes=yes,
        k=k,
        title_filter=title_filter,
        personal=personal,
        novelty=novelty,
        sequels=sequels,
        seen=seen,
        skip_planned=skip_planned,
        csv=csv,
        json=json,
    )


@app.command(short_help="Predict who would love a title that does not exist yet.")
def fanbase(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of model=hybrid, best with split=whole_items.")],
    *,
    input: Annotated[  # noqa: A002
        Path | None, typer.Option(help="One title or a list: .json, or .jsonl with one title per line.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Instead, a title of the run's data, as if it were new: its name or #id.")
    ] = None,
    tastes: Annotated[int, typer.Option(min=1, help="Number of tastes (groups) to divide the users into.")] = 8,
    threshold: Annotated[
        float | None,
        typer.Option(help="A fan is a user who rates the title at least this high. Default: 8 of 1-10, 4 of 0.5-5."),
    ] = None,
    nearest: Annotated[int, typer.Option(min=0, help="Number of nearest existing titles to list.")] = 5,
    adult: Annotated[
        bool, typer.Option("--adult", help="List adult titles, and those without genres and age rating, too.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the full result to this JSON file.")] = None,
) -> None:
    """Predict who would love a title that does not exist yet: its expected score, its share of fans, and their tastes.

    A title is an object such as {"title": "Paper Kingdom", "type": "TV", "genres": ["Comedy", "School"]}, or as Jikan,
    AniList or Kitsu describe an anime. Users are
    weighted by their number of ratings. Lift is how much higher a taste rates the title than users do on average,
    after subtracting how generous its users are; tastes are sorted by it. Then follow the share of fans within the
    taste, and the taste's share of all fans.
    """
    from anirec.inference.new_titles.fanbase import fanbase as show

    show(run, input=input, title=title, tastes=tastes, threshold=threshold, nearest=nearest, adult=adult, json=json)


@app.command(short_help="Explain a predicted score: modalities, words, characters, similar titles.")
def explain(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a finished run of a score model, such as model=tfidf_ridge.")
    ],
    *,
    item: Annotated[str | None, typer.Option(help="Id of a title of the run's data.")] = None,
    input: Annotated[  # noqa: A002
        Path | None, typer.Option(help="Instead, a file with one title, as for anirec predict: .json, .jsonl, .csv.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Instead, what matters over all test titles; of several runs, how stable.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with texts and pictures to this file; it needs no network.")
    ] = None,
) -> None:
    """Explain the score that a model predicts for a title.

    The contribution of a modality is its exact Shapley value against titles that lack it; contributions sum to the
    predicted score. Effects of words are exact for linear models, and integrated gradients for others.

    \b
    anirec explain outputs/mal_2020/tfidf_ridge/RUN --item 1535 --html monster.html
    """
    from anirec.inference.explain.explain import explain as show

    show(runs, item=item, input=input, every=every, html=html)


class TableFormat(StrEnum):
    """Formats of exported tables."""

    csv = "csv"
    parquet = "parquet"


@app.command(short_help="Copy users' histories into a run folder; or write the rows of a split for another framework.")
def export(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN|split", help="Folder of a finished run of a model that ranks titles, or split."),
    ],
    overrides: Overrides = None,
    *,
    output: Annotated[Path | None, typer.Option(help="Folder for the rows of the split.")] = None,
    file_format: Annotated[TableFormat, typer.Option("--format", help="Format of these files.")] = TableFormat.csv,
    config_dir: ConfigDir = None,
) -> None:
    """With RUN: copy the histories of a run's users into its folder, so that recommend and fanbase need neither cache
    nor dump. With split: write the training, validation and test rows of a dataset for another framework, whose
    results `anirec import` then evaluates.

    \b
    anirec export outputs/mal_2016/ease/RUN
    anirec export split dataset=mal_2016 split=per_user --output rows
    """
    if run == "split":
        from anirec.exchange import export_split

        if output is None:
            raise UserError("Set --output FOLDER, where the rows of the split are written.")
        counts = export_split(overrides or [], output, file_format=file_format, config_dir=config_dir)
        typer.echo(f"{output}: " + ", ".join(f"{n:,} {part}" for part, n in counts.items()) + " rows")
        return
    if overrides or output:
        raise UserError("KEY=VALUE and --output belong to `anirec export split`.")
    from anirec.inference.histories import export as copy
    from anirec.memory import format_size

    path, n_rows = copy(Path(run))
    typer.echo(f"{path}: {n_rows:,} list entries, {format_size(path.stat().st_size)}")


@app.command("import", short_help="Evaluate predictions and lists of another framework as a run.")
def import_results(
    overrides: Overrides = None,
    *,
    model: Annotated[str, typer.Option(help="Name of the model in tables and folders, such as implicit_als.")],
    predictions: Annotated[
        Path | None, typer.Option(help="File with user_id, item_id, prediction: a row for each test rating.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="File with user_id, item_id and rank or score, or in the order of the ranks.")
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Evaluate predictions and lists of another framework, made from the rows that `anirec export split` writes.

    The run has the same metrics, intervals and tests as any other, and `anirec compare` shows it in the same table.
    Dataset and split must be those of the export. Every user of test needs a list, of at least 10 titles for metrics
    @10, and none that the user has seen: leave out those of train, val, given,
    unrated and excluded.

    \b
    anirec export split dataset=mal_2016 split=per_user --output rows
    anirec import dataset=mal_2016 split=per_user --model other_als --lists lists.csv
    """
    from anirec.exchange import import_results as evaluate

    evaluate(model, overrides or [], predictions=predictions, lists=lists, config_dir=config_dir)


@app.command(short_help="Remove runs that failed or that a later equal run supersedes.")
def clean(
    path: Annotated[Path, typer.Argument(help="A folder that contains runs.")] = Path("outputs"),
    *,
    dry: Annotated[bool, typer.Option("--dry", help="List the runs without removing them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them without asking.")] = False,
) -> None:
    """Remove the runs in a folder that are not needed, after listing them with their sizes.

    These are runs that failed, were killed or interrupted and cannot be resumed, and runs of which a later run of the
    same config, data and seeds has finished and has all of their files. Runs that a sweep or search has chosen are
    kept, as are runs whose status.json is damaged. Links to a removed run are set to the later one, or removed.
    Sweeps are looked for in the whole outputs folder of the runs.
    """
    from anirec.tracking import cleaning

    if not path.is_dir():
        raise UserError(f"{path}: no such folder")
    removals = cleaning.find_removals(path)
    cleaning.show_unreadable(path)
    if not removals:
        typer.echo(f"{path}: no run to remove")
        return
    cleaning.show_removals(removals)
    if not dry and (yes or confirm_removal()):
        cleaning.remove(path, removals)


class Shell(StrEnum):
    """Shells with completion."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command("completion", short_help="Print a script that completes anirec's command lines in a shell.")
def print_completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to read the script.")]) -> None:
    """Print a script that completes verbs, options, choices, keys and names in a shell.

    \b
    bash, in ~/.bashrc:                    eval "$(anirec completion bash)"
    zsh, in ~/.zshrc, after compinit:      eval "$(anirec completion zsh)"
    fish, in ~/.config/fish/config.fish:   anirec completion fish | source
    """
    from anirec.config.completion import SCRIPTS

    typer.echo(SCRIPTS[shell].strip())


def main() -> None:
    """Run the command line. A UserError is printed without a traceback, and exits with status 2."""
    if "_ANIREC_COMPLETE" in os.environ:  # set by the scripts of `anirec completion`
        completion_init()
    try:
        with on_terminal():
            app()
    except UserError as error:
        typer.echo(printable.clean(f"anirec: {error}"), err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
