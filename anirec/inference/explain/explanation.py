"""The explanation of one predicted score: modalities, words, characters, portraits and similar titles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch

from anirec.config.compose import default_paths
from anirec.errors import UserError
from anirec.features.branch import Members
from anirec.features.pictures import Pictures
from anirec.features.tabular import Tabular
from anirec.features.text import Text
from anirec.features.tfidf import TfIdf
from anirec.features.tokens import texts_of
from anirec.inference.explain.characters import Character, HeatMap, PortraitReader, heat_map, member_effects
from anirec.inference.explain.gradients import integrated_gradients
from anirec.inference.explain.modalities import contributions, predict
from anirec.inference.explain.readout import readout_of, score_values, vectors_at
from anirec.inference.explain.run_titles import RunTitles, names_of
from anirec.inference.explain.similar import similarity
from anirec.inference.explain.words import Reader, TextEffects, encoded_effects, tfidf_effects
from anirec.inference.score_intervals import UNLIKE, interval_bounds
from anirec.report.run_files import read_run_config

SAMPLE = 200  # training titles whose mean contributions are those of the average title
N_SIMILAR = 5
MOST_TEXTS = 4  # descriptions whose words are explained, those of the characters with the largest effects first
MOST_PORTRAITS = 4
WHOLE = "(all texts)"


@dataclass(frozen=True)
class Modality:
    """Contribution of one branch.

    Args:
        name: Name of the branch, and what it reads.
        effect: Shapley value in points, against titles that lack the modality; 0 if this title lacks it.
        average: The same of the average training title.
        is_present: Whether the title has the modality.
    """

    name: str
    effect: float
    average: float
    is_present: bool

    @property
    def difference(self) -> float:
        return self.effect - self.average


@dataclass(frozen=True)
class Similar:
    """A similar training title."""

    title: str
    score: float
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a title has its predicted score.

    Args:
        title: Name of the title.
        about: The run, such as "mal_2020, tfidf_ridge".
        known_as: Part of the split that the title is in, and its true score; None for a new title.
        score: Predicted score.
        interval: The prediction interval, such as "90% interval 6.10 to 7.90"; empty if the run has none.
        baseline: Mean prediction of a sample of training titles.
        mean_score: Mean score of all training titles.
        nothing: Prediction for a title without any modality; with it, the effects of all modalities sum to `score`.
        modalities: Contribution of each branch.
        facts: Effects of categories, such as genres, and of counts.
        texts: Effects of words.
        characters: Share of each character, in order of appearance.
        portraits: Heat maps of the portraits with the largest effects.
        similar: The most similar training titles.
        notes: Caveats, as sentences.
    """

    title: str
    about: str
    known_as: tuple[str, float] | None
    score: float
    interval: str
    baseline: float
    mean_score: float
    nothing: float
    modalities: Sequence[Modality]
    facts: Mapping[str, float] = field(default_factory=dict)
    texts: Sequence[TextEffects] = ()
    characters: Sequence[Character] = ()
    portraits: Sequence[HeatMap] = ()
    similar: Sequence[Similar] = ()
    notes: Sequence[str] = ()

    def terms(self) -> dict[str, float]:
        """Return the effect of each word or phrase over all texts, strongest first."""
        summed: dict[str, float] = {}
        for text in self.texts:
            for term, effect in text.terms.items():
                summed[term] = summed.get(term, 0.0) + effect
        return dict(sorted(summed.items(), key=lambda pair: -abs(pair[1])))


def explain_title(titles: RunTitles, title: pl.DataFrame, part: str, *, pictures: bool = True) -> Explanation:
    """Explain the prediction for one title.

    Args:
        titles: The model and the titles of the run.
        title: The title, (1 row).
        part: Part of the split that it is in; empty for a new title.
        pictures: Whether to compute heat maps.

    Raises:
        UserError: The title has none of the modalities that the model reads.
    """
    model, train = titles.model, titles.train
    others = train if part != "train" else train.filter(pl.col("item_id") != title["item_id"][0])
    joined = titles.with_training(title, others)
    titles.look(joined)
    random = np.random.default_rng(0)
    sample = random.choice(len(others), min(SAMPLE, len(others)), replace=False) + 1
    effects, nothing, present = contributions(model, np.concatenate([[0], np.sort(sample)]))
    if not any(present[name][0] for name in model.branches if not always_present(model, name)):
        read = ", ".join(sorted(set().union(*(model.branch(name).requires for name in model.branches))))
        raise UserError(f"The title has none of the modalities that the model reads ({read}): nothing to explain")
    modalities = [
        Modality(label_of(model, name), float(values[0]), float(values[1:].mean()), bool(present[name][0]))
        for name, values in effects.items()
    ]
    score = predict(model, np.zeros(1, np.int64))
    interval, unlike = interval_of(titles, title, score)
    row = joined.row(0, named=True)
    parts = vectors_at(model, 0)
    texts, characters, heats, notes = describe_parts(titles, row, joined[:1], parts, pictures=pictures)
    if untrained := [name for name in model.branches if present[name].all() and not always_present(model, name)]:
        notes.append(
            f"No training title of the sample lacks {', '.join(untrained)}, so that the model has not learned what a "
            "title without is worth: the difference to the average title tells more than the contribution itself."
        )
    config = titles.run.resolve().parts
    name = title["title"][0] if "title" in title.columns and title["title"][0] else "Untitled"
    return Explanation(
        title=str(name),
        about=", ".join(config[-3:-1]),
        known_as=(part, float(title["score"][0])) if part else None,
        score=float(score[0]),
        interval=interval,
        baseline=float(nothing[1:].mean() + sum(modality.average for modality in modalities)),
        mean_score=float(train["score"].mean()),  # type: ignore[arg-type]
        nothing=float(nothing[0]),
        modalities=modalities,
        facts=fact_effects(titles, parts),
        texts=texts,
        characters=characters,
        portraits=heats,
        similar=most_similar(titles, others),
        notes=[*notes, *unlike],
    )


def interval_of(titles: RunTitles, title: pl.DataFrame, score: Any) -> tuple[str, list[str]]:
    """Return the interval of a title's score in words, and why it is wider than others, if it is."""
    bounds = interval_bounds(titles.run, titles.model, title, score.astype(np.float32))
    if not bounds:
        return "", []
    share = read_run_config(titles.run / "config.yaml")["metrics"]["interval"]
    why = [
        f"The interval is wide, since the title is unlike those of training: {text}." for text in bounds[UNLIKE] if text
    ]
    return f"{share:.0%} interval {bounds['low'][0]:.2f} to {bounds['high'][0]:.2f}", why


def always_present(model: Any, name: str) -> bool:
    """Return whether a branch has a vector for every title, such as counts."""
    from anirec.features.tabular import Counts

    return isinstance(model.branch(name), Counts)


def label_of(model: Any, name: str) -> str:
    """Return the name of a branch, and what it reads if the name does not say it.

    >>> from types import SimpleNamespace as Model
    >>> model = Model(branch={"words": Model(columns=["synopsis"])}.get)
    >>> label_of(model, "words")
    'words (synopsis)'
    """
    branch = model.branch(name)
    read = getattr(branch, "columns", None) or [getattr(branch, "column", "portraits")]
    return name if name in read else f"{name} ({', '.join(read)})"


def describe_parts(
    titles: RunTitles, row: Mapping[str, Any], title: pl.DataFrame, parts: Mapping[str, Members], *, pictures: bool
) -> tuple[list[TextEffects], list[Character], list[HeatMap], list[str]]:
    """Return the effects of words and characters, heat maps of portraits, and notes on what was left out."""
    model, notes = titles.model, []
    branches = {name: model.branch(name) for name in model.branches}
    of_members = [
        name
        for name, branch in branches.items()
        if (isinstance(branch, Text) and branch.column == "descriptions" and not branch.join)
        or (isinstance(branch, Pictures) and branch.layout == "each")
    ]
    shares = member_effects(model, of_members, parts)
    n = max((len(values) for values in shares.values()), default=0)
    names = names_of(row, n)
    characters = [
        Character(names[i], {name: float(values[i]) for name, values in shares.items() if i < len(values)})
        for i in range(n)
        if any(i < parts[name].present.shape[1] and bool(parts[name].present[0, i]) for name in of_members)
    ]
    texts: list[TextEffects] = []
    heats: list[HeatMap] = []
    for name, branch in branches.items():
        present = parts[name].present[0].numpy()
        strength = np.abs(shares[name]) if name in shares else np.ones(len(present))
        order = [int(i) for i in np.argsort(-strength, kind="stable") if present[i]]
        if isinstance(branch, TfIdf):
            of_column = {c: [t for t in texts_of(title, c, join=True)[0] if t] for c in branch.columns}
            texts += tfidf_effects(model, name, parts, of_column)
        elif isinstance(branch, Text) and order:
            written, reader = texts_of(title, branch.column, join=branch.join)[0], Reader.of(branch)
            several = len(written) > 1
            for i in order[:MOST_TEXTS]:
                label = names[i] if several and i < len(names) else branch.column
                texts.append(
                    encoded_effects(model, name, parts, member=i, text=str(written[i]), label=label, reader=reader)
                )
            notes += left_out("descriptions", len(order), MOST_TEXTS)
        elif isinstance(branch, Pictures) and order and pictures:
            inputs, painter = branch.inputs_of(title)[0], PortraitReader(branch, default_paths()["cache"])
            for i in order[:MOST_PORTRAITS]:
                label = names[i] if branch.layout == "each" else "all portraits"
                heats.append(heat_map(model, name, parts, member=i, paths=inputs[i] or (), label=label, reader=painter))
            notes += left_out("portraits", len(order), MOST_PORTRAITS)
    notes += [
        f"{text.label}: the model did not read the last {text.n_cut:,} characters." for text in texts if text.n_cut
    ]
    return texts, characters, heats, notes


def left_out(what: str, n: int, most: int) -> list[str]:
    return [f"Of {n} {what}, the {most} with the largest effects are explained in detail."] if n > most else []


def fact_effects(titles: RunTitles, parts: Mapping[str, Members]) -> dict[str, float]:
    """Return the effect of each category and number of the title, strongest first."""
    model, found = titles.model, dict[str, float]()
    read = readout_of(model)
    for name in model.branches:
        branch = model.branch(name)
        if isinstance(branch, Tabular):
            x = parts[name].values[0]
            effects, _ = integrated_gradients(partial(score_values, read, parts, name), x, torch.zeros_like(x))
            found |= {key: float(e) for key, e in zip(branch.names(), effects[0], strict=True) if float(e)}
    return dict(sorted(found.items(), key=lambda pair: -abs(pair[1])))


def most_similar(titles: RunTitles, others: pl.DataFrame) -> list[Similar]:
    """Return the training titles that are most similar to the first title of the last look."""
    near = similarity(titles.model, 0, np.arange(1, len(others) + 1))
    best = np.argsort(-near, kind="stable")[:N_SIMILAR]
    names = others["title"] if "title" in others.columns else others["item_id"].cast(pl.String)
    return [Similar(str(names[int(i)]), float(others["score"][int(i)]), float(near[i])) for i in best]
