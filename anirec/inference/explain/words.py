"""Effects of words: exact for terms of TF-IDF in linear models, by integrated gradients otherwise."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from anirec.features.branch import Members
from anirec.features.text import Text
from anirec.features.tfidf import TfIdf
from anirec.features.tokens import Tokens
from anirec.inference.explain.gradients import STEPS, integrated_gradients
from anirec.inference.explain.readout import readout_of, score_values, with_values
from anirec.models.titles.base import ScoreModel
from anirec.models.titles.network import Network

WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True)
class Span:
    """A piece of a text with its effect on the score, in points."""

    text: str
    effect: float


@dataclass(frozen=True)
class TextEffects:
    """Effects of the words of one text.

    Args:
        branch: Name of the branch.
        label: What the text is, such as "synopsis" or the name of a character.
        spans: The whole text in pieces.
        terms: Effect of each distinct word or phrase, over all of its uses.
        total: Sum of the effects.
        n_cut: Number of characters of the text that the model did not read.
    """

    branch: str
    label: str
    spans: Sequence[Span]
    terms: Mapping[str, float]
    total: float
    n_cut: int = 0


def tfidf_effects(
    model: ScoreModel, name: str, parts: Mapping[str, Members], texts: Mapping[str, Sequence[str]]
) -> list[TextEffects]:
    """Return the effects of the terms of a title's texts in a TF-IDF branch: weight times coefficient if linear.

    Args:
        model: The model.
        name: The branch.
        parts: The vectors of the title, by branch.
        texts: The texts of the title by column, in the order in which they are joined.
    """
    branch, read = cast(TfIdf, model.branch(name)), readout_of(model)
    x = parts[name].values[0]
    steps = STEPS if isinstance(model, Network) else 1
    effects, _ = integrated_gradients(partial(score_values, read, parts, name), x, torch.zeros_like(x), steps=steps)
    flat = effects[0].double().numpy()
    found, start = [], 0
    for column, vectorizer in zip(branch.columns, branch.vectorizers, strict=True):
        terms = vectorizer.get_feature_names_out()
        own = flat[start : start + len(terms)]
        start += len(terms)
        used = {str(terms[i]): float(own[i]) for i in np.flatnonzero(own)}
        text = " ".join(texts.get(column, []))
        if text:
            found.append(TextEffects(name, column, term_spans(text, used, vectorizer), used, float(own.sum())))
    return found


def term_spans(text: str, effects: Mapping[str, float], vectorizer: Any) -> list[Span]:
    """Divide a text into spans; the effect of a phrase is shared equally by its uses and their words.

    Only for terms that are words; with terms of characters, the text is one span.
    """
    if vectorizer.analyzer != "word":
        return [Span(text, sum(effects.values()))]
    places = [match.span() for match in re.finditer(vectorizer.token_pattern, text)]
    tokens = [text[slice(*place)].lower() for place in places]
    uses: dict[str, list[range]] = defaultdict(list)
    low, high = vectorizer.ngram_range
    for n in range(low, high + 1):
        for i in range(len(tokens) - n + 1):
            uses[" ".join(tokens[i : i + n])].append(range(i, i + n))
    effect = np.zeros(len(tokens))
    for term, total in effects.items():
        for words in uses[term]:
            effect[list(words)] += total / len(uses[term]) / len(words)
    return list(join_spans(text, places, effect.tolist()))


def join_spans(text: str, places: Sequence[tuple[int, int]], effects: Sequence[float]) -> Iterator[Span]:
    """Yield the whole text in spans; those between the places have no effect.

    >>> [(span.text, span.effect) for span in join_spans("A ghost.", [(2, 7)], [0.5])]
    [('A ', 0.0), ('ghost', 0.5), ('.', 0.0)]
    """
    end = 0
    for (start, stop), effect in zip(places, effects, strict=True):
        if start > end:
            yield Span(text[end:start], 0.0)
        if stop > max(start, end):
            yield Span(text[max(start, end) : stop], effect)
        end = max(end, stop)
    if end < len(text):
        yield Span(text[end:], 0.0)


@dataclass
class Reader:
    """The encoder of a text branch, with the tokens of one text at a time."""

    branch: Text
    encoder: nn.Module

    @classmethod
    def of(cls, branch: Text) -> "Reader":
        """Return the trained encoder of a branch, or load its frozen one."""
        return cls(branch, (branch.load() if branch.frozen else branch.encoder).eval().requires_grad_(False))

    def vectors(self, tokens: Tokens, n: int) -> Tensor:
        """Return the vector of text 0, n times, (n, width)."""
        reading = self.branch.reading(self.branch.recipe)
        return reading.chunk(self.encoder, tokens, np.zeros(n, np.int64), torch.device("cpu"))


def encoded_effects(
    model: ScoreModel,
    name: str,
    parts: Mapping[str, Members],
    *,
    member: int,
    text: str,
    label: str,
    reader: Reader,
) -> TextEffects:
    """Return the effects of the words of one text in a branch with an encoder, by integrated gradients.

    The baseline is a text of the same length that consists of padding. The effects sum to the difference between the
    scores with the text and with the padding.
    """
    branch, read = reader.branch, readout_of(model)
    tokens = Tokens.of([text], branch.recipe.tokenizer, branch.max_tokens)
    places, is_word = token_places(text, branch.recipe.tokenizer, branch.max_tokens)
    with torch.no_grad(), embedded(reader) as seen:
        reader.vectors(tokens, 1)
    x = seen[0][0]  # (T, width), with padding on either side if the encoder pads
    numbers = torch.from_numpy(tokens.number).long()
    offset = len(x) - len(numbers) if branch.padding == "left" else 0
    mask = torch.zeros(len(x), 1)
    mask[offset : offset + len(numbers), 0] = torch.tensor(is_word, dtype=torch.float32)
    blank = reader.encoder.get_input_embeddings().weight[branch.recipe.pad].detach().to(x)  # type: ignore[operator]
    baseline = torch.where(mask > 0, blank, x)
    fixed = parts[name].values[0]

    def score(points: Tensor) -> Tensor:
        with embedded(reader, points):
            vectors = reader.vectors(tokens, len(points))
        rows = fixed.expand(len(points), -1, -1)
        return read(with_values(parts, name, torch.cat([rows[:, :member], vectors[:, None], rows[:, member + 1 :]], 1)))

    effects, total = integrated_gradients(score, x, baseline)
    of_token = effects.sum(1)[offset : offset + len(numbers)].double().tolist()
    words: dict[tuple[int, int], float] = defaultdict(float)
    for place, effect in zip(places, of_token, strict=True):
        if place is not None:
            words[place] += effect
    ordered = sorted(words)
    spans = list(join_spans(text, ordered, [words[place] for place in ordered]))
    terms: dict[str, float] = defaultdict(float)
    for start, stop in ordered:
        if WORD.search(word := text[start:stop].strip().lower()):
            terms[word] += words[start, stop]
    n_cut = len(text) - ordered[-1][1] if tokens.n_cut and ordered else 0
    return TextEffects(name, label, spans, dict(terms), total, n_cut)


def token_places(text: str, tokenizer: str, max_tokens: int) -> tuple[list[tuple[int, int] | None], list[bool]]:
    """Return the word that each token is part of, as start and end in the text, None for special tokens; and which
    tokens are not special."""
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_str(tokenizer)
    encoder.no_padding()
    encoder.enable_truncation(max_tokens)
    encoded = encoder.encode(text)
    ends: dict[int, tuple[int, int]] = {}
    for word, (start, stop) in zip(encoded.word_ids, encoded.offsets, strict=True):
        if word is not None:
            first, last = ends.get(word, (start, stop))
            ends[word] = min(first, start), max(last, stop)
    trimmed = {word: trim(text, *place) for word, place in ends.items()}
    return [None if word is None else trimmed[word] for word in encoded.word_ids], [
        word is not None for word in encoded.word_ids
    ]


def trim(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return the place without the spaces around the word."""
    word = text[start:stop]
    return start + len(word) - len(word.lstrip()), stop - (len(word) - len(word.rstrip()))


@contextmanager
def embedded(reader: Reader, points: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Replace the embeddings of the tokens by `points` in the block, or collect them in the list if None."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor | None:
        seen.append(output.detach())
        return points

    layer = reader.encoder.get_input_embeddings()  # type: ignore[operator]
    handle = layer.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
