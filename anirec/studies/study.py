"""`anirec study`: a published study on whatever data is here, its figures beside the published ones."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.console import Console
from rich.text import Text

from anirec.config.validate import validate
from anirec.errors import UserError
from anirec.report.compare import compare, ensure_folder
from anirec.studies import published
from anirec.studies.datasets import Chosen, choose
from anirec.studies.definition import Part, Study, last_of_each, read_study, study_names
from anirec.sweeps.worker import begin_sweep

CONSOLE = Console(highlight=False, soft_wrap=True)
GO_ON = ["sweep.skip_done=true", "resume=true"]  # the same study once more does only what is not done
STOPPED = 130


@dataclass(frozen=True)
class Plan:
    """One part of a study, on data that is here.

    Args:
        part: The question.
        data: What it runs on.
        commands: Overrides of `anirec run -m`.
    """

    part: Part
    data: Chosen
    commands: list[list[str]]

    @property
    def shown(self) -> list[str]:
        """The commands as a person types them."""
        return [f"anirec run -m {shlex.join(command)}" for command in self.commands]


def study(name: str | None, *, overrides: Sequence[str], dry: bool) -> None:
    """Run a study, or list all of them; tables go to the terminal and to `outputs/studies/NAME`.

    Args:
        name: Of the study, or a folder that holds one; None for the list.
        overrides: For all of its commands; `dataset=…` asks for one of its datasets.
        dry: Only print the commands.

    Raises:
        UserError: There is no such study, none of its data is here, or a command is wrong; before anything runs.
    """
    if name is None:
        show_studies()
        return
    chosen = read_study(name)
    plans = plan(chosen, overrides)
    CONSOLE.print(Text(f"{chosen.question}\n{chosen.source}"))
    for one in plans:
        show(one)
        for command in one.commands:
            validate(command)
    if dry:
        return
    folder = outputs(overrides) / "studies" / chosen.name
    failed: list[str] = []
    sweeps = {one.part.name: run(one, chosen.name, overrides, failed) for one in plans}
    report(chosen, plans, sweeps, folder)
    if failed:
        CONSOLE.print(Text("\n".join(["Of these commands, jobs failed:", *failed])))
        sys.exit(1)


def show_studies() -> None:
    """Every study, its question, and the data that it would run on."""
    for name in study_names():
        found = read_study(name)
        CONSOLE.print(Text.assemble((name, "bold"), f"  {found.question}\n  {found.source}"))
        for one in plan(found, []):
            CONSOLE.print(Text(f"  {one.part.name}: {one.data.told}"))


def plan(chosen: Study, overrides: Sequence[str]) -> list[Plan]:
    """The parts for which there is data, each with its commands.

    Raises:
        UserError: No part knows the dataset that was asked for.
    """
    others = [override for override in overrides if not override.startswith("dataset=")]
    found = [(part, choose(part, overrides)) for part in chosen.parts]
    plans = [
        Plan(part, data, [last_of_each([*command, *others]) for command in part.typed(data.choice)])
        for part, data in found
        if data
    ]
    if not plans:
        known = sorted({choice.dataset for part in chosen.parts for choice in part.data})
        raise UserError(f"{chosen.name} does not run on that dataset. It does on: {', '.join(known)}")
    return plans


def show(one: Plan) -> None:
    lines = [f"  ({why})" for why in one.data.passed_over]
    CONSOLE.print(Text.assemble("\n", (one.part.question, "bold"), "\n", "\n".join([one.data.told, *lines])))
    for command in one.shown:
        CONSOLE.print(Text(f"  {command}"))


def run(one: Plan, study: str, overrides: Sequence[str], failed: list[str]) -> list[Path]:
    """Each command in a process of its own, so that a failure ends none of the others; the folders of their sweeps."""
    sweeps = []
    begin_sweep()  # killed, this process leaves none of them at work
    for number, command in enumerate(one.commands):
        began = time.strftime("%Y-%m-%d_%H-%M-%S")
        sweep = outputs(overrides) / "sweeps" / f"{began}_{study}_{one.part.name}_{number}"
        CONSOLE.print(Text(f"\n{one.shown[number]}", style="bold"))
        arguments = [*command, *GO_ON, f"hydra.sweep.dir='{sweep}'"]
        line = [sys.executable, "-m", "anirec", "run", "-m", *arguments]
        status = subprocess.run(line, check=False).returncode  # noqa: S603 (this very program)
        if status == STOPPED:
            CONSOLE.print("stopped by hand; the same command goes on from here")
            sys.exit(STOPPED)
        if status:
            failed.append(one.shown[number])
        if sweep.is_dir():
            sweeps.append(sweep)
    return sweeps


def report(chosen: Study, plans: list[Plan], sweeps: dict[str, list[Path]], folder: Path) -> None:
    """Compare exactly these runs, part by part, and set the published figures beside them."""
    figures = published.published_figures(chosen.folder / "published.csv")
    tables, written = [], [f"# {chosen.name}\n\n{chosen.question}\n\n{chosen.source}\n"]
    for one in plans:
        CONSOLE.print(Text(f"\n{one.part.question}\n{one.data.told}", style="bold"))
        written.append("\n".join([f"## {one.part.question}\n\n{one.data.told}\n\n```sh", *one.shown, "```\n"]))
        with TemporaryDirectory() as beside:
            csv, markdown = Path(beside) / "part.csv", Path(beside) / "part.md"
            try:
                compare(sweeps[one.part.name], metric=one.part.metric, csv=csv, markdown=markdown, console=CONSOLE)
            except UserError as error:  # nothing has finished
                CONSOLE.print(Text(str(error), style="yellow"))
                written.append(f"{error}\n")
                continue
            tables.append(published.our_figures(csv))
            written.append(markdown.read_text(encoding="utf-8"))
    results = pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame(schema={"model": pl.String})
    lines = published.beside(figures, results)
    title = "Published, and ours" if all(one.data.own for one in plans) else "Published, and ours on other data"
    if lines:
        CONSOLE.print(published.terminal_table(lines, title=f"\n{title}"))
        written.append(published.markdown_table(lines, title=title))
    results.write_csv(ensure_folder(folder / "results.csv"))
    ensure_folder(folder / "report.md").write_text("\n".join(written), encoding="utf-8")
    CONSOLE.print(Text(f"In {folder}: report.md, results.csv"))


def outputs(overrides: Sequence[str]) -> Path:
    """`paths.outputs`."""
    given = [override.partition("=")[2] for override in overrides if override.startswith("paths.outputs=")]
    return Path(given[-1] if given else "outputs")
