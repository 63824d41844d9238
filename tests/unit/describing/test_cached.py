"""`anirec data clean`: what the cache holds, and that nothing in use is removed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anirec.cli import app
from anirec.describing.cached import choose, find_entries
from anirec.errors import UserError

DAY = 86_400


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache with tables of three ages, vectors, hashes, and files that are not the cache's."""
    cache = tmp_path / "cache"
    ages = {
        "tables/mal_2016-0123456789abcdef": 40,
        "tables/mal_2016-00000000000000ff": 0,
        "tables/mal_2020-0123456789abcdef": 3,
        f"tables/.unfinished-mal_2016-{'0' * 16}-{'0' * 32}": 5,
        "embeddings/0123456789abcdef": 50,
        "contents": 0,
        "notes": 90,
        "tables/of mine": 90,
    }
    for name, age in ages.items():
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_bytes(b"x" * 1_000_000)
        os.utime(cache / name, (time.time() - age * DAY,) * 2)
    monkeypatch.setenv("ANIREC_CACHE", str(cache))
    return cache


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["data", "clean", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def names(cache: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in cache.glob("*/*") if path.is_dir()}


def test_without_a_choice_entries_are_only_listed(own_cache: Path) -> None:
    before = names(own_cache)
    lines = call().splitlines()
    assert names(own_cache) == before
    assert len(lines) == 8, "six entries, a total and a hint; other folders are not the cache's"
    assert lines[0].split() == ["1.0", "MB", "50", "days", "vectors:", "embeddings/0123456789abcdef"]
    assert lines[6] == "6 entries, 6.0 MB"
    assert "--older-than DAYS" in lines[7]


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        (["mal_2016"], {"tables/mal_2016-0123456789abcdef", "tables/mal_2016-00000000000000ff"}),
        (["mal_2016", "--older-than", "30"], {"tables/mal_2016-0123456789abcdef"}),
        (["--older-than", "30"], {"tables/mal_2016-0123456789abcdef", "embeddings/0123456789abcdef"}),
        (["--older-than", "100"], set()),
    ],
)
def test_a_choice_is_removed_and_nothing_else(own_cache: Path, arguments: list[str], removed: set[str]) -> None:
    before = names(own_cache)
    call(*arguments, "--dry")
    assert names(own_cache) == before
    output = call(*arguments, "--yes")
    assert before - names(own_cache) == removed
    if removed:
        assert f"{len(removed)}.0 MB freed" in output


def test_without_a_terminal_nothing_is_removed_unless_yes_is_given(own_cache: Path) -> None:
    before = names(own_cache)
    with pytest.raises(UserError, match=r"Nothing was removed: there is no terminal\. Add -y to remove them\."):
        call("--all")
    assert names(own_cache) == before
    CliRunner().invoke(app, ["data", "clean", "--all"], input="y\n")
    assert names(own_cache) < before


def test_all_leaves_what_is_not_the_caches(own_cache: Path) -> None:
    call("--all", "--yes")
    assert names(own_cache) == {"tables/of mine"}
    assert sorted(path.name for path in own_cache.iterdir()) == ["embeddings", "notes", "tables"]


def test_entries_that_another_process_uses_are_kept(own_cache: Path) -> None:
    used = own_cache / "tables/mal_2020-0123456789abcdef"
    code = (
        "import sys; from pathlib import Path; from anirec.data.prepare.use import hold; "
        "print(hold(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        output = call("--all", "--yes")
        assert used.is_dir()
        assert f"kept, in use: {used}" in output
        process.communicate("")
    call("--all", "--yes")
    assert not used.exists()


def test_unknown_names_are_refused(own_cache: Path) -> None:
    entries = find_entries(own_cache)
    with pytest.raises(UserError, match=r"mal_2018: the cache has no tables of it.*mal_2016"):
        choose(entries, datasets=["mal_2018"], older_than=None, everything=False)
    with pytest.raises(UserError, match="--all removes all"):
        choose(entries, datasets=["mal_2016"], older_than=None, everything=True)
