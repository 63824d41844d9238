"""All files and commands of the README's section "Your own data and models"."""

import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import timm

from .conftest import Anirec

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("\n## Your own data and models\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^ *```(?:yaml|python)\n(.+?)^ *```", re.DOTALL | re.MULTILINE)
COMMANDS = [shlex.split(command) for command in re.findall(r"`anirec (run --config-dir mine [^`]+)`", SECTION)]
CLUB = {
    "rating.csv": "user_id,anime_id,rating\n"
    + "".join(f"{user},{item},{1 + (user * item) % 10}\n" for user in range(30) for item in range(1, 21)),
    "anime.csv": "anime_id,name,genre,type,episodes,rating,members\n"
    + "".join(f"{item},Title {item},Comedy,TV,12,7.5,100\n" for item in range(1, 21)),
}
LITTLE = ["trainer=cpu", "dataset.source.n_users=200", "dataset.source.n_items=80"]


@pytest.fixture(scope="module")
def newcomer(
    anirec_in: Callable[..., Anirec], hub: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Anirec, Path]:
    """A folder with the files of the section, ratings of a club, and untrained weights in place of `hf download`."""
    folder = tmp_path_factory.mktemp("newcomer ü")
    for block in BLOCK.findall(SECTION):
        text = textwrap.dedent(block)
        path = folder / re.match(r"# ([\w/.]+)", text)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "club").mkdir()
    for file, rows in CLUB.items():
        (folder / "club" / file).write_text(rows)
    (name,) = re.findall(r"hf download (\S+?)`", SECTION)
    cache = hub / f"models--{name.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    network = timm.create_model(name.removeprefix("timm/"), pretrained=False)
    timm.models.save_for_hf(network, str(cache / "snapshots" / ("0" * 40)), safe_serialization=True)
    return anirec_in(folder), folder


def test_all_commands_and_files_of_the_section_are_found() -> None:
    assert len(COMMANDS) == 5
    assert len(BLOCK.findall(SECTION)) == 6


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[3])
def test_every_command_runs(command: list[str], newcomer: tuple[Anirec, Path]) -> None:
    anirec, folder = newcomer
    little = [] if any(word.startswith("dataset") for word in command) else LITTLE
    output = anirec(*command, *little).stderr
    assert re.search(r"^rmse +\d", output, re.MULTILINE)
    name = command[3].partition("=")[2]
    assert len([path for path in folder.glob("outputs/*/*/*/metrics.json") if name in path.parts]) == 1


def test_a_users_class_is_imported_from_its_folder(newcomer: tuple[Anirec, Path]) -> None:
    anirec, folder = newcomer
    anirec("run", "--config-dir", "mine", "model=cautious", "most=3", expect=2)
    anirec("run", "--config-dir", "mine", "model=cautious", "model.most=3", *LITTLE, "tags=[found]")
    run = max(folder.glob("outputs/demo_ratings/cautious/*"))
    (folder / "rows.csv").write_text("user_id,item_id\n1,1\n2,5\n")
    output = anirec("predict", str(run), "--input", "rows.csv", "--output", "out.csv", expect=2).stderr
    assert "cautious.Cautious" in output
    assert "PYTHONPATH" in output
    anirec("predict", str(run), "--input", "rows.csv", "--output", "out.csv", PYTHONPATH="mine")
    predicted = [float(line.split(",")[2]) for line in (folder / "out.csv").read_text().splitlines()[1:]]
    assert max(predicted) <= 3
