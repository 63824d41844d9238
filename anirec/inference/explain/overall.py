"""What matters over many titles: which modalities and words move the predictions, and how stable that is over runs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from anirec.features.text import Text
from anirec.features.tfidf import TfIdf
from anirec.features.tokens import texts_of
from anirec.inference.explain.explanation import label_of
from anirec.inference.explain.modalities import contributions
from anirec.inference.explain.readout import vectors_at
from anirec.inference.explain.run_titles import RunTitles
from anirec.inference.explain.words import Reader, encoded_effects, tfidf_effects
from anirec.metrics.rank_correlation import spearman
from anirec.progress import StatusLine

MOST_TITLES = 300  # whose words are explained; a random sample of more
FEWEST_USES = 5  # titles with a word for it to be listed


@dataclass(frozen=True)
class Overall:
    """Effects over many titles.

    Args:
        n_titles: Number of titles.
        modalities: Standard deviation of each modality's contribution over titles, in points.
        words: term; titles, the number of titles with it; effect, its mean effect there; importance, the standard
            deviation of its effect over all titles. The most important first.
    """

    n_titles: int
    modalities: Mapping[str, float]
    words: pl.DataFrame


def explain_all(titles: RunTitles) -> Overall:
    """Explain the predictions for the test titles of a run."""
    index = titles.corpus.test
    if len(index) > MOST_TITLES:
        index = np.sort(np.random.default_rng(0).choice(index, MOST_TITLES, replace=False))
    chosen = titles.corpus.titles[index]
    titles.look(chosen)
    model = titles.model
    effects, _, _ = contributions(model, np.arange(len(chosen)))
    modalities = {label_of(model, name): float(values.std()) for name, values in effects.items()}
    return Overall(len(chosen), modalities, word_table(word_effects(titles, chosen)))


def word_effects(titles: RunTitles, chosen: pl.DataFrame) -> list[dict[str, float]]:
    """Return the effect of each word in each title, n mappings; the effect of a phrase is shared by its words."""
    model = titles.model
    readers = {name: Reader.of(branch) for name in model.branches if isinstance(branch := model.branch(name), Text)}
    found = []
    with StatusLine("explaining titles") as waiting:
        for row in range(len(chosen)):
            waiting.step(f"{row:,} of {len(chosen):,}")
            title, parts = chosen[row : row + 1], vectors_at(model, row)
            words: dict[str, float] = defaultdict(float)
            for name in model.branches:
                branch = model.branch(name)
                if isinstance(branch, TfIdf):
                    of_column = {c: [t for t in texts_of(title, c, join=True)[0] if t] for c in branch.columns}
                    for text in tfidf_effects(model, name, parts, of_column):
                        for term, effect in text.terms.items():
                            pieces = term.split() if branch.analyzer == "word" else [term]
                            for piece in pieces:
                                words[piece] += effect / len(pieces)
                elif isinstance(branch, Text):
                    for member, written in enumerate(texts_of(title, branch.column, join=branch.join)[0]):
                        if written:
                            reader = readers[name]
                            text = encoded_effects(
                                model, name, parts, member=member, text=written, label="", reader=reader
                            )
                            for term, effect in text.terms.items():
                                words[term] += effect
            found.append(dict(words))
    return found


def word_table(effects: Sequence[Mapping[str, float]]) -> pl.DataFrame:
    """Return the table of words of `Overall`, given the effect of each word in each title.

    >>> word_table([{"ghost": 0.25}, {"ghost": 0.75, "the": 0.25}]).rows()
    [('ghost', 2, 0.5, 0.25), ('the', 1, 0.25, 0.125)]
    """
    numbers: dict[str, int] = {}
    entries = [
        (row, numbers.setdefault(term, len(numbers)), e) for row, some in enumerate(effects) for term, e in some.items()
    ]
    shape = (len(effects), len(numbers))
    rows, columns, values = (np.array(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
    matrix = csr_matrix((values, (rows, columns)), shape=shape)
    used = np.bincount(np.asarray(columns, dtype=np.int64), minlength=shape[1])
    total = np.asarray(matrix.sum(axis=0)).ravel()
    squares = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()
    spread: NDArray[np.float64] = np.sqrt(np.maximum(squares / shape[0] - (total / shape[0]) ** 2, 0))
    table = pl.DataFrame(
        {"term": list(numbers), "titles": used, "effect": total / np.maximum(used, 1), "importance": spread},
        schema_overrides={"term": pl.String},
    )
    return table.sort(["importance", "term"], descending=[True, False])


def stability(found: Sequence[Overall]) -> float:
    """Return the mean rank correlation of the effects of words between all pairs of runs.

    Words that both runs use in at least `FEWEST_USES` titles are compared.
    """
    tables = [one.words.filter(pl.col("titles") >= FEWEST_USES) for one in found]
    values = []
    for first, second in combinations(tables, 2):
        both = first.join(second, on="term")
        values.append(spearman(both["effect"].to_numpy(), both["effect_right"].to_numpy()))
    return float(np.mean(values))
