"""`anirec explain`: tables, pages and errors of whole commands, and whether planted words and colours are found."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from anirec.data.synthetic.texts import SYNOPSIS
from anirec.inference.explain.characters import member_effects
from anirec.inference.explain.explanation import Explanation, explain_title
from anirec.inference.explain.overall import explain_all, word_effects
from anirec.inference.explain.posts import explain_post, known_tags
from anirec.inference.explain.readout import vectors_at
from anirec.inference.explain.run_titles import RunTitles
from anirec.inference.predict import load

from .conftest import Anirec

PLANTED = {word for words in SYNOPSIS.values() for word in words.split()}
CORPUS = ["dataset=demo_corpus", "trainer=cpu"]
ONLY_WORDS = [f"dataset.source.{name}=0" for name in ("descriptions", "portraits", "franchise", "noise")]
TFIDF = [*CORPUS, "model=tfidf_ridge", "dataset.source.n_titles=600", *ONLY_WORDS, "model.branches.words.ngrams=[1,1]"]
FUSION = [*CORPUS, "model=fusion", "dataset.source.n_titles=110", "encoders=tiny", "model.training.epochs=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def anirec(anirec_in: Callable[..., Anirec], place: Path) -> Anirec:
    return anirec_in(place, ANIREC_CACHE=str(place / "cache"), COLUMNS="80")


@pytest.fixture(scope="module")
def linear(anirec: Anirec, place: Path) -> Path:
    """A run of tfidf_ridge on titles whose score is decided by the words of the synopsis."""
    anirec("run", *TFIDF)
    (run,) = place.glob("outputs/demo_corpus/tfidf_ridge/*")
    return run


@pytest.fixture(scope="module")
def network(anirec: Anirec, place: Path) -> Path:
    anirec("run", *FUSION)
    (run,) = place.glob("outputs/demo_corpus/fusion/*")
    return run


@pytest.fixture
def read(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], RunTitles]:
    monkeypatch.setenv("ANIREC_CACHE", str(place / "cache"))
    return RunTitles.read


def written(place: Path, title: Any) -> Path:
    path = place / "title.json"
    path.write_text(json.dumps(title), encoding="utf-8")
    return path


@pytest.mark.slow
def test_planted_words_are_found(linear: Path, read: Any) -> None:
    """At the planted number: of the words that matter most over all titles, and in each title."""
    titles = read(linear)
    found = explain_all(titles)
    strongest = found.words["term"].head(len(PLANTED))
    assert np.mean([term in PLANTED for term in strongest]) >= 0.8
    chosen = titles.corpus.titles[titles.corpus.test]
    titles.look(chosen)
    shares = []
    for effects in word_effects(titles, chosen):
        n_planted = len(PLANTED & set(effects))
        ranked = sorted(effects, key=lambda term: -abs(effects[term]))[:n_planted]
        shares.append(np.mean([term in PLANTED for term in ranked]))
    assert np.mean(shares) >= 0.8


def test_terminal_and_page_of_a_title(linear: Path, anirec: Anirec, read: Any, place: Path) -> None:
    titles = read(linear)
    row = titles.corpus.titles[titles.corpus.test[:1]]
    printed = anirec("explain", str(linear), "--item", str(row["item_id"][0]), "--html", "one.html").stdout
    assert max(map(len, printed.splitlines())) <= 80
    prediction = pl.read_parquet(linear / "predictions.parquet").filter(item_id=row["item_id"][0])
    score, low, high = prediction.select("prediction", "low", "high").row(0)
    assert f"Predicted score {score:.2f} (90% interval {low:.2f} to {high:.2f})" in printed
    assert f"True score {row['score'][0]:.2f}, a title of test" in printed
    contributed = re.findall(
        r"^(?:a title of which|words).* ([+-]?\d\.\d\d) +[+-]?\d\.\d\d +[+-]\d\.\d\d$", printed, re.M
    )
    assert sum(map(float, contributed)) == pytest.approx(score, abs=0.02)
    assert len(re.findall(r"^Paper|^\S.* +\d\.\d\d +\d\.\d\d$", printed.partition("most similar")[2], re.M)) == 5
    page = (place / "one.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link", page)
    text = re.sub(r"<[^>]+>", "", page.partition('class="text')[2].partition(">")[2].partition("</p>")[0])
    assert text == row["synopsis"][0]


def test_bad_input_is_one_sentence_each(linear: Path, anirec: Anirec, place: Path) -> None:
    def message(*arguments: str) -> str:
        printed = anirec("explain", str(linear), *arguments, expect=2).stderr
        assert "Traceback" not in printed
        return printed.strip().splitlines()[-1]

    assert "--item ID" in message()
    assert "the run has no title with this id" in message("--item", "nobody")
    for nothing in ({"title": "X"}, {"title": "X", "synopsis": " "}, {"title": "X", "synopsis": "Unknown"}):
        path = written(place, nothing)
        assert "none of the modalities that the model reads (synopsis)" in message("--input", str(path))
    path = written(place, [{"synopsis": "a"}, {"synopsis": "b"}])
    assert "expected one row, found 2" in message("--input", str(path))


def test_names_and_texts_are_escaped_and_may_be_long(linear: Path, anirec: Anirec, place: Path) -> None:
    word = sorted(PLANTED)[0]
    path = written(place, {"title": "<script>x</script>", "synopsis": f"<img src=x> {word} the " * 5_000})
    printed = anirec("explain", str(linear), "--input", str(path), "--html", "long.html").stdout
    assert word in printed.partition("score: ")[2]
    page = (place / "long.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img src=x" not in page


def explained(titles: RunTitles, part: str = "test") -> Explanation:
    row = titles.corpus.titles[getattr(titles.corpus, part)[:1]]
    return explain_title(titles, row, part)


def test_a_network_explains_words_characters_and_portraits(
    network: Path, anirec: Anirec, read: Any, place: Path
) -> None:
    titles = read(network)
    found = explained(titles)
    total = found.nothing + sum(modality.effect for modality in found.modalities)
    assert total == pytest.approx(found.score, abs=1e-4)
    row = titles.corpus.titles[titles.corpus.test[:1]]
    assert [one.name for one in found.characters] == row["names"][0].to_list()
    assert {text.label for text in found.texts} >= {"synopsis"}
    assert len(found.portraits) == min(4, len(found.characters))
    anirec("explain", str(network), "--item", str(row["item_id"][0]), "--html", "net.html")
    page = (place / "net.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(found.portraits)


def test_two_hundred_portraits(network: Path, anirec: Anirec, place: Path) -> None:
    for number in range(200):
        Image.new("RGB", (64, 64), (number, 60, 120)).save(place / f"{number}.png")
    title = {"title": "Crowd", "synopsis": "A tender robot.", "portraits": [f"{number}.png" for number in range(200)]}
    printed = anirec("explain", str(network), "--input", str(written(place, title))).stdout
    assert "Of 200 portraits, the 4 with the largest effects" in printed
    assert "and 190 more" in printed


def test_several_runs_are_compared_by_their_words(linear: Path, anirec: Anirec, place: Path) -> None:
    anirec("run", *TFIDF, "split.seed=2")
    runs = sorted(map(str, place.glob("outputs/demo_corpus/tfidf_ridge/*")))
    printed = anirec("explain", *runs, "--all").stdout
    stable = float(re.search(r"between runs: (-?\d\.\d\d)", printed)[1])  # type: ignore[index]
    assert 0.6 < stable <= 1
    assert "one run" in anirec("explain", *runs, "--item", "1", expect=2).stderr


def test_a_run_of_another_kind_is_an_error(anirec: Anirec, place: Path) -> None:
    anirec("run", *CORPUS, "model=mean", "dataset.source.n_titles=60", "split.val=0.1")
    (run,) = place.glob("outputs/demo_corpus/mean/*")
    assert "nothing to explain" in anirec("explain", str(run), "--item", "1", expect=2).stderr


TAGS = [
    *("dataset=demo_tags", "dataset.source.n_posts=4000", "dataset.source.n_tags=80", "dataset.source.n_groups=3"),
    *("dataset.sampling.zeros=1000", "dataset.tags.min_posts=40", "trainer=cpu"),
]


@pytest.mark.parametrize("model", ["tag_ridge", "tag_pca_ols", "tag_tree"])
def test_tags_of_a_post(model: str, anirec: Anirec, read: Any, place: Path) -> None:
    components = ["model.components=30"] if model == "tag_pca_ols" else []
    leaves = ["model.regressor.min_samples_split=100", "model.regressor.min_samples_leaf=50"]
    anirec("run", *TAGS, f"model={model}", *components, *(leaves if model == "tag_tree" else []))
    (run,) = place.glob(f"outputs/demo_tags/{model}/*")
    post = pl.read_parquet(run / "predictions.parquet")["post_id"][0]
    fitted: Any = load(run)
    tags = known_tags(run, str(post))
    found = explain_post(fitted, tags)
    assert found.tags["tag"].sort().to_list() == sorted(tags)
    for tag, effect in found.tags.iter_rows():
        without = explain_post(fitted, [other for other in tags if other != tag])
        difference = found.score - without.score
        if found.is_linear:  # a centred effect is the coefficient times 1 minus the tag's share of training posts
            assert 0 <= effect / difference < 1
        else:
            assert effect == pytest.approx(difference, abs=1e-5)
    if found.is_linear:
        assert found.mean + found.lacking + found.tags["effect"].sum() == pytest.approx(found.score, abs=1e-5)
    printed = anirec("explain", str(run), "--item", str(post)).stdout
    assert f"Predicted score {found.score:.2f}" in printed
    path = written(place, {"tags": ["unheard_of"]})
    assert "no tag that the model knows" in anirec("explain", str(run), "--input", str(path), expect=2).stderr


@pytest.mark.slow
def test_planted_faces_and_colours_are_found(anirec: Anirec, read: Any, place: Path) -> None:
    """Of the characters, those that raise the score most are those with warm hair, at the planted number."""
    others = [f"dataset.source.{name}=0" for name in ("synopsis", "descriptions", "franchise", "noise")]
    settings = ["dataset.source.n_titles=400", "dataset.source.portraits=1", "model.training.epochs=20"]
    anirec("run", *CORPUS, "model=fusion_portraits", *settings, *others)
    (run,) = place.glob("outputs/demo_corpus/fusion_portraits/*")
    titles = read(run)
    chosen = titles.corpus.titles[titles.corpus.test[:40]]
    titles.look(chosen)
    all_warmth = titles.corpus.sources["source"].world.warmth
    effects, warmth = [], []
    for row, cast in enumerate(chosen["characters"].to_list()):
        shares = member_effects(titles.model, ["portraits"], vectors_at(titles.model, row))["portraits"]
        effects += (shares[: len(cast)] * len(cast)).tolist()  # the score depends on the mean of the cast
        warmth += [all_warmth[character - 1] for character in cast]
    is_warm = np.array(warmth) > 0
    strongest = np.argsort(effects)[::-1][: is_warm.sum()]
    assert is_warm[strongest].mean() >= 0.8
    assert np.corrcoef(effects, warmth)[0, 1] > 0.8
