"""Completion in a real bash, and options that every verb has."""

import os
import subprocess
import sysconfig

import pytest
import typer

from anirec.cli import app

from .conftest import Anirec

# What bash does when a user presses the tabulator.
PRESS_TAB = """
eval "$(anirec completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_anirec_completion anirec 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
"""


def press_tab(line: str) -> list[str]:
    """Return the words that bash offers at the end of a line; of a word, only what follows the last `=`."""
    variables = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    arguments = ["bash", "--norc", "-c", PRESS_TAB, "bash", line]
    return subprocess.run(arguments, env=variables, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("anirec reco", ["recommend"]),
        ("anirec select --r", ["--refit"]),
        ("anirec run model=sv", ["svd", "svdpp"]),
        ("anirec run -m model=svd,po", ["svd,popularity"]),
        ("anirec run model=svd seed=1 model.n_", ["model.n_factors="]),
        ("anirec data describe mal_s", ["mal_seasonal"]),
        ("anirec study safe", ["safebooru_tags"]),
    ],
)
def test_bash_completes(line: str, offered: list[str]) -> None:
    assert press_tab(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(anirec: Anirec, shell: str) -> None:
    assert "_ANIREC_COMPLETE=complete_bash" in anirec("completion", shell).stdout


def test_short_options(anirec: Anirec) -> None:
    assert anirec("-V").stdout == anirec("--version").stdout
    for verb in typer.main.get_group(app).commands:
        usage = anirec(verb, "-h").stdout
        assert f"anirec {verb} [OPTIONS]" in usage
        assert "-h, --help" in usage
