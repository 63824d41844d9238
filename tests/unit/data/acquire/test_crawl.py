"""Crawls of replayed sites: faults, kills, limits of rate, what a later crawl fetches, and the tables that come out."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from anirec.data.acquire.crawl import spider_class
from anirec.data.prepare.cache import Prepared, prepare
from anirec.data.sources.crawled import Crawled
from anirec.data.sources.safebooru import Safebooru
from anirec.errors import UserError

from .replayed import AnilistWorld, BoardWorld, JikanWorld, MalWorld, Site

Anirec = Callable[..., subprocess.CompletedProcess[str]]
DELAY = 0.01
N_TITLES = 30
N_CHARACTERS = 31  # main ones: 0, 10, 20, …, 300


def settings(site: Site, **more: Any) -> list[str]:
    given = {"address": site.address, "seconds": DELAY, "timeout": 1, **more}
    return [f"{key}={value}" for key, value in given.items()]


@pytest.fixture
def jikan() -> Iterator[Site]:
    world = JikanWorld(N_TITLES)
    with Site(world) as site:
        world.address = site.address
        yield site


def crawl_jikan(anirec: Anirec, site: Site, *more: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return anirec("data", "crawl", "jikan", *settings(site, pictures="127.0.0.1"), *more, **options)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tables(data: Path, name: str, tmp_path: Path) -> Prepared:
    return prepare(Crawled(folder=str(data / f"crawled-{name}")), tmp_path / "cache")


def rows(path: Path | None) -> pl.DataFrame:
    assert path is not None
    return pl.read_parquet(path)


def test_titles_characters_and_portraits(anirec: Anirec, jikan: Site, data: Path, tmp_path: Path) -> None:
    done = crawl_jikan(anirec, jikan)
    assert "30 titles" in done.stdout
    assert all(len(line) <= 80 for line in (done.stdout + done.stderr).splitlines() if str(data) not in line)
    assert not jikan.repeated()
    prepared = tables(data, "jikan", tmp_path)
    title = rows(prepared.items).filter(item_id=3).to_dicts()[0]
    assert (title["title"], title["episodes"], title["duration"]) == ("Title 3", 12, 24.0)
    assert title["genres"] == ["Action", "Adult Cast"]
    assert title["producers"] == ["NIS America, Inc."]
    assert str(title["aired_from"]) == "2026-04-03"
    members = rows(prepared.appearances).filter(item_id=3)
    assert sorted(members.select("character_id", "role").rows()) == [(20, "Main"), (30, "Main"), (35, "Supporting")]
    characters = rows(prepared.characters)
    assert len(characters) == N_CHARACTERS
    assert characters["portrait"].null_count() == 0
    assert (data / "crawled-jikan" / characters["portrait"][0]).is_file()
    assert prepared.report["items_rejected"] == 0


def test_faults_cost_repetitions_but_no_rows(anirec: Anirec, jikan: Site, data: Path) -> None:
    jikan.fail("/anime", "500", "truncated", '{"status": 200, "type": "Upstream"}')
    jikan.fail("/anime/3/characters", "429", "cut")
    jikan.fail("/anime/4/characters", "hang")
    jikan.fail("/characters/40", "503", "[" * 100_000)
    jikan.fail("/images/50.png", "truncated", "cut", "not a picture")
    crawl_jikan(anirec, jikan)
    repeated = {path.partition("?")[0]: count for path, count in jikan.repeated().items()}
    assert repeated == {
        "/anime": 4,
        "/anime/3/characters": 3,
        "/anime/4/characters": 2,
        "/characters/40": 3,
        "/images/50.png": 4,
    }
    manifest = yaml.safe_load((data / "crawled-jikan/manifest.yaml").read_text())
    assert manifest["rows"] == {"titles": 30, "appearances": 90, "characters": 31, "portraits": 31}
    assert manifest["crawls"][0]["finished"]


def test_retry_after_is_obeyed(anirec: Anirec, jikan: Site) -> None:
    jikan.fail("/anime/3/characters", "429")  # with Retry-After: 1
    crawl_jikan(anirec, jikan)
    longest = max(after - before for before, after in pairwise(jikan.times))
    assert longest >= 1


def test_a_site_that_asks_for_hours_is_left_alone(anirec: Anirec, jikan: Site) -> None:
    jikan.fail("/anime/3/characters", "429 7200")
    done = crawl_jikan(anirec, jikan, expect=2)
    assert "the site asks to wait 120 minutes" in done.stderr
    n_before = jikan.n_requests
    crawl_jikan(anirec, jikan)
    assert jikan.repeated() == {"/anime/3/characters": 2}
    assert n_before < jikan.n_requests == 2 + N_TITLES + 2 * N_CHARACTERS + 1


def test_ctrl_c_keeps_what_was_fetched(
    anirec: Anirec, jikan: Site, data: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    arguments = ["data", "crawl", "jikan", *settings(jikan, pictures="127.0.0.1")]
    done = end_at(jikan, 30, arguments, tmp_path, variables, by=signal.SIGINT)
    assert "The crawl is not complete: interrupted.\nThe same command continues it." in done
    assert len(lines(data / "crawled-jikan/titles.jsonl")) >= 25
    crawl_jikan(anirec, jikan)
    assert not jikan.repeated()


def test_pages_that_keep_failing_are_listed_and_asked_for_again(anirec: Anirec, jikan: Site, data: Path) -> None:
    jikan.fail("/anime/3/characters", *["404x"] * 9)  # never JSON
    jikan.fail("/anime/5/characters", "418")
    done = crawl_jikan(anirec, jikan, expect=2)
    assert "1 pages: damaged answer (such as cast/3@settled)" in done.stdout
    assert "1 pages: HTTP 418" in done.stdout
    assert "2 pages failed" in done.stderr
    assert len(lines(data / "crawled-jikan/titles.jsonl")) == N_TITLES
    n_before = jikan.n_requests
    crawl_jikan(anirec, jikan)
    # Both lists of characters, and the character and portrait of each that only the lists name.
    assert jikan.n_requests - n_before == 2 + 2 * 2
    assert len(lines(data / "crawled-jikan/characters.jsonl")) == N_CHARACTERS


def test_a_page_that_always_fails_does_not_keep_the_next_crawl_from_starting(anirec: Anirec, data: Path) -> None:
    world = JikanWorld(3)
    with Site(world) as site:
        world.address = site.address
        site.fail("/anime/3/characters", *["418"] * 9)
        for n_requests in (1 + 3 + 2 * 3, 1, 2):  # the last is a new crawl: the list of titles, and the page
            site.counts.clear()
            crawl_jikan(anirec, site, expect=2)
            assert site.n_requests == n_requests
    manifest = yaml.safe_load((data / "crawled-jikan/manifest.yaml").read_text())
    assert [one["finished"] is not None for one in manifest["crawls"]] == [True, False]


def test_changed_fields_are_counted_and_the_page_is_kept(anirec: Anirec, jikan: Site, data: Path) -> None:
    jikan.fail("/anime/3/characters", '{"data": [{"who": 30, "role": "Main"}]}')
    jikan.fail("/characters/50", '{"data": {"mal_id": 50, "images": [], "name": "Fifty"}}')
    done = crawl_jikan(anirec, jikan)
    assert "1 pages are not as expected" in done.stdout
    manifest = yaml.safe_load((data / "crawled-jikan/manifest.yaml").read_text())
    assert manifest["crawls"][0]["pages_unread"] == {"cast: KeyError: 'character'": 1}
    names = {row["character_id"]: row["name"] for row in lines(data / "crawled-jikan/characters.jsonl")}
    assert names[50] == "Fifty"


def end_at(
    site: Site,
    n_requests: int,
    arguments: list[str],
    folder: Path,
    variables: dict[str, str],
    *,
    by: signal.Signals = signal.SIGKILL,
) -> str:
    """Run a crawl, send it a signal when the site has seen so many requests, and return what it prints to stderr."""
    line = [sys.executable, "-m", "anirec", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, cwd=folder, env=variables, text=True, **pipes) as run:
        end = time.monotonic() + 60
        while site.n_requests < n_requests and run.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        assert run.poll() is None, "the crawl ended before the signal"
        os.kill(run.pid, by)
        return run.communicate(timeout=60)[1]


@pytest.mark.slow
def test_killed_crawls_fetch_nothing_twice_and_lose_nothing(
    anirec: Anirec, jikan: Site, data: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    for n_requests in (1, 20, 50, 80):
        arguments = ["data", "crawl", "jikan", *settings(jikan, pictures="127.0.0.1")]
        end_at(jikan, n_requests, arguments, tmp_path, variables)
    crawl_jikan(anirec, jikan)
    # A request that was in flight at a kill is repeated, and no other.
    assert sum(count - 1 for count in jikan.repeated().values()) <= 4
    assert sorted(row["mal_id"] for row in lines(data / "crawled-jikan/titles.jsonl")) == list(range(1, N_TITLES + 1))
    assert len(lines(data / "crawled-jikan/appearances.jsonl")) == 3 * N_TITLES
    assert len(lines(data / "crawled-jikan/characters.jsonl")) == N_CHARACTERS
    assert len(list((data / "crawled-jikan/portraits").iterdir())) == N_CHARACTERS
    n_pages = 2 + N_TITLES + 2 * N_CHARACTERS
    assert jikan.n_requests - sum(count - 1 for count in jikan.repeated().values()) == n_pages
    manifest = yaml.safe_load((data / "crawled-jikan/manifest.yaml").read_text())
    assert [one["pages_fetched"] for one in manifest["crawls"]] == [n_pages + 1]  # and robots.txt


def test_never_more_requests_than_allowed(anirec: Anirec, jikan: Site) -> None:
    anirec("data", "crawl", "jikan", *settings(jikan, seconds=0.1, pictures=""), "--limit", "10")
    elapsed = jikan.times[-1] - jikan.times[0]
    assert len(jikan.times) > 20
    assert len(jikan.times) - 1 <= elapsed / 0.1 * 1.05


def test_a_later_crawl_fetches_what_is_new_or_unfinished(anirec: Anirec, data: Path) -> None:
    world = JikanWorld(25)
    world.unfinished = {25}
    with Site(world) as site:
        world.address = site.address
        crawl_jikan(anirec, site)
        site.counts.clear()
        world.n_titles, world.unfinished = 26, set()
        crawl_jikan(anirec, site)
        paths = {path.partition("?")[0] for path in site.counts}
    assert paths == {
        *("/robots.txt", "/anime", "/anime/25/characters", "/anime/26/characters"),
        *("/characters/260", "/images/260.png"),
    }
    assert len(lines(data / "crawled-jikan/titles.jsonl")) == 26
    assert len(lines(data / "crawled-jikan/appearances.jsonl")) == 3 * 26
    manifest = yaml.safe_load((data / "crawled-jikan/manifest.yaml").read_text())
    assert [one["pages_fetched"] for one in manifest["crawls"]] == [1 + 25 + 2 * 26 + 1, 2 + 2 + 2 + 1]


@pytest.mark.slow
def test_the_corpus_trains_by_one_command(anirec: Anirec, jikan: Site, tmp_path: Path) -> None:
    crawl_jikan(anirec, jikan)
    short = ["encoders=tiny", "trainer=cpu", "trainer.max_epochs=1"]
    anirec("run", "dataset=crawled", "model=fusion", *short)
    [path] = tmp_path.glob("outputs/crawled/fusion/*/metrics.json")
    assert "test/rmse" in json.loads(path.read_text())


@pytest.mark.slow
def test_lists_train_by_one_command(anirec: Anirec, tmp_path: Path) -> None:
    world = MalWorld()
    chance = random.Random(0)
    for user in range(40):
        titles = chance.sample(range(1, 41), 12)
        world.lists[f"user {user}?&"] = [(title, chance.randint(1, 10), "2025-01-01") for title in titles]
    (tmp_path / "names.txt").write_text("\n".join(world.lists))
    with Site(world) as site:
        anirec("data", "crawl", "mal_lists", *settings(site), "--users", "names.txt")
        assert site.n_requests == 40
    anirec("run", "dataset=crawled_lists", "model=popularity", "trainer=cpu")
    [path] = tmp_path.glob("outputs/crawled_lists/popularity/*/metrics.json")
    assert "test/rmse" in json.loads(path.read_text())


def test_files_of_a_killed_build_and_damaged_ones(anirec: Anirec, jikan: Site, data: Path) -> None:
    crawl_jikan(anirec, jikan, "--limit", "3")
    folder = data / "crawled-jikan"
    (folder / f".titles.jsonl.{'0' * 32}").write_text("half a row")
    anirec("data", "crawl", "jikan", "--rebuild")
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".titles")]
    (folder / "manifest.yaml").write_text("crawls: [{")
    assert "manifest.yaml: damaged" in crawl_jikan(anirec, jikan, expect=2).stderr
    (folder / "manifest.yaml").unlink()
    for path in folder.glob("pages.sqlite*"):
        path.unlink()
    (folder / "pages.sqlite").write_bytes(b"no database" * 1000)
    assert "pages.sqlite: cannot be read" in crawl_jikan(anirec, jikan, expect=2).stderr


def test_without_scrapy_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scrapy", None)
    with pytest.raises(UserError, match=r"pip install 'anirec\[crawl\]'"):
        spider_class("jikan")


def test_rebuild_makes_the_same_tables_without_a_request(anirec: Anirec, jikan: Site, data: Path) -> None:
    crawl_jikan(anirec, jikan, "--limit", "20")
    folder = data / "crawled-jikan"
    names = ["titles.jsonl", "characters.jsonl", "appearances.jsonl", *(f"portraits/{n}.png" for n in (0, 10, 200))]
    before = {name: (folder / name).read_bytes() for name in names}
    n_before = jikan.n_requests
    for name in names:
        (folder / name).unlink()
    anirec("data", "crawl", "jikan", "--rebuild")
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert len(lines(folder / "titles.jsonl")) == 25  # whole pages of the list
    assert len(lines(folder / "appearances.jsonl")) == 60  # characters up to the limit
    assert jikan.n_requests == n_before


def test_robots_txt_is_obeyed(anirec: Anirec, jikan: Site) -> None:
    jikan.robots = "User-agent: *\nDisallow: /anime\n"
    done = crawl_jikan(anirec, jikan, expect=2)
    assert "robots.txt of the site forbids these pages" in done.stderr
    assert jikan.n_requests == 0


def test_a_site_that_refuses_is_left_alone(anirec: Anirec, jikan: Site) -> None:
    for number in range(1, N_TITLES + 1):
        jikan.fail(f"/anime/{number}/characters", "403")
    done = crawl_jikan(anirec, jikan, expect=2)
    assert "10 pages failed in a row, the last one with: HTTP 403" in done.stderr
    assert jikan.n_requests in {1 + 10, 1 + 11}  # one more may be under way


def test_pictures_of_other_hosts_are_not_fetched(anirec: Anirec, jikan: Site, data: Path) -> None:
    anirec("data", "crawl", "jikan", *settings(jikan, pictures="pictures.invalid"), "--limit", "3")
    assert not any(path.startswith("/images") for path in jikan.counts)
    assert not (data / "crawled-jikan/portraits").exists()


def test_answers_are_bounded(anirec: Anirec, jikan: Site) -> None:
    jikan.fail("/characters/30", *["[" + " " * (17 << 20) + "]"] * 9)
    done = crawl_jikan(anirec, jikan, "--limit", "3", expect=2)
    assert "1 pages" in done.stdout


def test_mal_titles_with_statistics(anirec: Anirec, data: Path, tmp_path: Path) -> None:
    world = MalWorld(12)
    with Site(world) as site:
        world.address = site.address
        anirec("data", "crawl", "mal", *settings(site, characters=""))
        assert site.headers["x-mal-client-id"] == "0123abcd"
        assert b"0123abcd" not in (data / "crawled-mal/pages.sqlite").read_bytes()
        site.counts.clear()
        world.updated[7] = "2026-11-01T00:00:00+00:00"
        anirec("data", "crawl", "mal", *settings(site, characters=""))
        assert {path.partition("?")[0] for path in site.counts} == {"/robots.txt", "/anime/ranking", "/anime/7"}
    title = rows(tables(data, "mal", tmp_path).items).to_dicts()[0]
    assert (title["type"], title["source"], title["episodes"]) == ("TV", "Light novel", None)
    assert (title["score"], title["members"], title["age_rating"]) == (7.5, 15, "PG-13 - Teens 13 or older")
    assert str(title["aired_from"]) == "2017-10-01"
    assert round(title["duration"], 2) == 24.08
    assert len(lines(data / "crawled-mal/statistics.jsonl")) == 12


def test_the_client_id_goes_to_no_other_host(anirec: Anirec, jikan: Site) -> None:
    with Site(MalWorld(2)) as site:
        anirec("data", "crawl", "mal", *settings(site, characters=jikan.address, pictures=""))
        assert site.headers["x-mal-client-id"] == "0123abcd"
    assert {path for path in jikan.counts if path != "/robots.txt"} == {
        *("/anime/1/characters", "/anime/2/characters", "/characters/0", "/characters/10", "/characters/20")
    }
    assert "x-mal-client-id" not in jikan.names_of_headers


@pytest.fixture
def names(tmp_path: Path) -> str:
    path = tmp_path / "names.txt"
    path.write_text("ann\nbob\n\nhidden\nnobody\n")
    return str(path)


def test_mal_lists_without_names(anirec: Anirec, data: Path, names: str, tmp_path: Path) -> None:
    world = MalWorld()
    world.private = {"hidden"}
    world.lists = {
        "ann": [(n, n % 11, f"2025-01-{1 + n % 28:02}") for n in range(1, 1102)],
        "bob": [(5, 9, "2025-02-01")],
    }
    with Site(world) as site:
        world.address = site.address
        anirec("data", "crawl", "mal_lists", *settings(site), "--users", names)
        site.counts.clear()
        world.lists["ann"].append((2000, 10, "2025-03-01"))
        world.lists["bob"] = [(5, 3, "2025-04-01")]
        anirec("data", "crawl", "mal_lists", *settings(site), "--users", names)
        asked = [path for path in site.counts if "/ann/" in path]
        assert len(asked) == 1  # of two pages, the first; the second is known
    entries = rows(tables(data, "mal_lists", tmp_path).interactions)
    assert len(entries) == 1103
    ann, bob = entries.group_by("user_id").len().sort("len", descending=True)["user_id"]
    assert entries.filter(user_id=bob).select("item_id", "rating", "status").rows() == [(5, 3.0, "completed")]
    assert entries.filter(user_id=ann, item_id=2000)["rating"].to_list() == [10.0]
    assert entries.filter(user_id=ann, item_id=11)["rating"].to_list() == [None]
    for path in (data / "crawled-mal_lists").iterdir():
        assert not any(name in path.read_bytes() for name in (b"ann", b"bob", b"hidden")), path
    salt = data / ".crawl-salt"
    assert salt.stat().st_mode & 0o077 == 0


def test_a_firewall_is_not_taken_for_private_lists(anirec: Anirec, data: Path, names: str) -> None:
    world = MalWorld()
    world.lists = {"ann": [(5, 9, "2025-02-01")], "bob": [(5, 9, "2025-02-01")]}
    world.private = {"hidden"}
    with Site(world) as site:
        site.fail("/users/bob/animelist", "403")  # without JSON
        done = anirec("data", "crawl", "mal_lists", *settings(site), "--users", names, expect=2)
        assert "1 pages: HTTP 403" in done.stdout
        site.counts.clear()
        anirec("data", "crawl", "mal_lists", *settings(site), "--users", names)
        assert [path.partition("?")[0] for path in site.counts] == ["/users/bob/animelist"]
    assert len((data / "crawled-mal_lists/entries.csv").read_text().splitlines()) == 3


def test_names_are_kept_on_request(anirec: Anirec, data: Path, names: str) -> None:
    world = MalWorld()
    world.lists = {"bob": [(5, 9, "2025-02-01")]}
    with Site(world) as site:
        anirec("data", "crawl", "mal_lists", *settings(site), "--users", names, "--keep-names")
    assert (data / "crawled-mal_lists/entries.csv").read_text().splitlines()[1:] == ["bob,5,9,2,2025-02-01 10:00:00"]


def test_anilist_lists(anirec: Anirec, data: Path, names: str, tmp_path: Path) -> None:
    world = AnilistWorld({"ann": [(n, n % 101) for n in range(1, 601)], "bob": [(5, 85), (None, 70)]})
    world.remaining = [3, 0]
    with Site(world) as site:
        anirec("data", "crawl", "anilist_lists", *settings(site), "--users", names)
        longest = max(after - before for before, after in pairwise(site.times))
        assert longest >= 0.9  # until X-RateLimit-Reset, which is in whole seconds
        assert sorted((body["variables"]["name"], body["variables"]["chunk"]) for body in site.bodies) == [
            *(("ann", 1), ("ann", 2), ("bob", 1), ("hidden", 1), ("nobody", 1))
        ]
    entries = rows(tables(data, "anilist_lists", tmp_path).interactions)
    assert len(entries) == 601
    ratings = dict(
        entries.filter(pl.col("user_id").count().over("user_id") > 1).select("item_id", "rating").iter_rows()
    )
    assert (ratings[85], ratings[5], ratings[101]) == (8.5, 1.0, None)


@pytest.mark.parametrize(("name", "size"), [("danbooru", 200), ("safebooru", 100)])
def test_posts_by_ranges_of_ids(anirec: Anirec, data: Path, tmp_path: Path, name: str, size: int) -> None:
    world = BoardWorld([*range(1, 451), *range(700, 1001, 3)])
    with Site(world) as site:
        anirec("data", "crawl", name, *settings(site))
        assert site.n_requests == 1 + -(-1000 // size)
        site.counts.clear()
        world.ids += [1001, 1002]
        anirec("data", "crawl", name, *settings(site))
        assert site.n_requests == 2  # the newest post, and the last range
        site.counts.clear()
        world.ids += [1003]
        anirec("data", "crawl", name, *settings(site), "--since", "1001")
        assert site.n_requests == 2
    posts = prepare(Safebooru(folder=str(data / f"crawled-{name}")), tmp_path / "cache")
    table = rows(posts.posts)
    assert sorted(table["post_id"]) == sorted(world.ids)
    assert posts.report["duplicate_posts_removed"] == 0
    assert table["score"].null_count() == (0 if name == "danbooru" else len(world.ids))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nyaa"], "nyaa: no such crawl"),
        (["jikan", "speed=3"], "speed=3: expected KEY=VALUE with one of the keys address, seconds"),
        (["jikan", "seconds=0"], "seconds=0: expected seconds"),
        (["jikan", "seconds=0.5"], "seconds=0.5: api.jikan.moe needs 1 s between two requests"),
        (["mal", "seconds=0.5", "address=http://127.0.0.1:9"], "api.jikan.moe needs 1 s between two requests"),
        (["jikan", "seconds=fast"], "seconds=fast: expected a number"),
        (["jikan", "address=ftp://127.0.0.1"], "expected an address"),
        (["jikan", "--since", "yesterday"], "--since yesterday: expected a day such as 2026-01-31"),
        (["danbooru", "--since", "2026-01-31"], "expected the id of a post"),
        (["anilist_lists", "--since", "2026-01-31"], "always fetches whole lists: leave out --since"),
        (["mal_lists"], "needs the names of users: --users FILE"),
        (["jikan", "--users", "names.txt"], "has no users"),
        (["jikan", "--rebuild"], "no such file"),
    ],
)
def test_wrong_arguments(anirec: Anirec, arguments: list[str], message: str) -> None:
    assert message in anirec("data", "crawl", *arguments, expect=2).stderr


def test_a_missing_client_id_says_where_to_get_one(anirec: Anirec) -> None:
    done = anirec("data", "crawl", "mal", expect=2, MAL_CLIENT_ID="")
    assert "https://myanimelist.net/apiconfig" in done.stderr
    assert "export MAL_CLIENT_ID=" in done.stderr
    assert all(len(line) <= 80 for line in done.stderr.splitlines())
