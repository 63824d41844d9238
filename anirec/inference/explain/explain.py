"""`anirec explain`: the command."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from anirec.config.definitions import inherits
from anirec.errors import UserError
from anirec.inference.run_tables import check_model, model_setting

POSTS = "anirec.models.posts.base.PostModel"
ADVICE = "predicts ratings of users, not scores of titles or posts. Reasons of recommendations: anirec recommend"


def explain(
    runs: Sequence[Path],
    *,
    item: str | None,
    input: Path | None,  # noqa: A002 (the option's name)
    every: bool,
    html: Path | None,
    console: Console | None = None,
) -> None:
    """Explain the prediction of a run for one title, or what matters over the test titles of one or several runs.

    Args:
        runs: Folders of finished runs of score models; several only with `every`.
        item: Id of a title of the run's data.
        input: Instead, a file with one title.
        every: Explain all test titles instead, in summary.
        html: File of the page; None for no page.
        console: Where to print; None: the terminal.

    Raises:
        UserError: The run, the title or the file cannot be explained; see the message.
    """
    if (item is not None) + (input is not None) + every != 1:
        raise UserError("Choose one: --item ID for a title of the run, --input FILE for a new title, or --all")
    if not every and len(runs) > 1:
        raise UserError(f"One title is explained by one run, not {len(runs)}; several runs are compared by --all")
    if every and html is not None:
        raise UserError("--html is the page of one title; it does not go with --all")
    console = console or Console(highlight=False)
    if len(runs) == 1 and inherits(str(model_setting(runs[0], "_target_")), POSTS):
        if every or html is not None:
            raise UserError(
                "--all and --html are for models of titles; effects of all tags: effects.parquet of the run"
            )
        from anirec.inference.explain.posts import explain as explain_post

        explain_post(runs[0], item=item, input=input, console=console)
        return
    for run in runs:
        check_model(run, "anirec.models.titles.base.ScoreModel", ADVICE)
    from anirec.inference.explain.explanation import explain_title
    from anirec.inference.explain.overall import explain_all
    from anirec.inference.explain.run_titles import RunTitles
    from anirec.inference.explain.terminal import print_explanation, print_overall

    if every:
        names = ["/".join(run.resolve().parts[-3:]) for run in runs]
        print_overall([explain_all(RunTitles.read(run)) for run in runs], names, console)
        return
    titles = RunTitles.read(runs[0])
    title, part = titles.known_title(item) if item is not None else (titles.new_title(input), "")  # type: ignore[arg-type]
    explanation = explain_title(titles, title, part)
    print_explanation(explanation, console)
    if html is not None:
        from anirec.inference.explain.page import write_page

        write_page(explanation, html)
        console.print(f"Page: {html}", markup=False)
