"""Warnings: each message once a command, from whichever process and library it comes."""

import logging
import subprocess
import sys
import warnings

import pytest

from anirec.notices import on_terminal, warn

CHILD = "from anirec.notices import on_terminal, warn\nwith on_terminal():\n    warn('no genres'); warn('no scores')"


def test_a_message_is_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    for message in ("no genres", "no scores", "no genres"):
        warn(message)
    assert caplog.messages == ["no genres", "no scores"]


def test_each_command_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with on_terminal():
            warn("no genres")
            warn("no genres")
            warnings.warn("from a library", UserWarning, stacklevel=1)
            warnings.filterwarnings("ignore", "another")  # makes Python forget what it has shown
            warnings.warn("from a library", UserWarning, stacklevel=1)
        assert capsys.readouterr().err == "warning: no genres\nwarning: from a library\n"


def test_processes_of_a_command_share_what_was_shown() -> None:
    code = f"import subprocess, sys\n{CHILD}\n    subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    done = subprocess.run([sys.executable, "-c", code, CHILD], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["warning: no genres", "warning: no scores"]


def test_a_warning_that_is_ignored_stays_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    with on_terminal(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*many workers")
        warnings.warn("does not have many workers", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == ""
    assert not logging.getLogger("anirec").handlers
