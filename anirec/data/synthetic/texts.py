"""Generated texts from templates, with words whose effect on the score is known, wherever they are in the text.

"For Karomi, the orchard was never the same after the siege. …"   effect: the mean of those of "orchard" and "siege"
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SYNOPSIS: Mapping[str, str] = {
    "place": "lighthouse monastery harbour desert railway orchard observatory theatre "
    "swamp volcano library island glacier casino greenhouse prison",
    "thing": "compass violin lantern cipher locket engine telescope mask "
    "sword recipe kite amulet umbrella puppet clock piano",
    "threat": "drought plague curfew rebellion avalanche blackmail famine duel "
    "eclipse invasion heist scandal flood siege mutiny conspiracy",
    "deed": "rescue betray imitate forgive outwit follow hire challenge "
    "adopt expose protect avenge teach deceive repay haunt",
    "mood": "quiet reckless melancholy absurd tender brutal whimsical solemn "
    "frantic dreamy cynical gentle bitter nostalgic playful grim",
    "companion": "robot ghost fox painter chef pilot detective idol "
    "knight witch dragon nurse thief boxer professor gardener",
}
SYNOPSIS_SENTENCES = (
    "For {who}, life near the {place} was never the same again after the {threat}.",
    "When a {mood} {companion} turns up with a broken {thing}, it is {who} who has to {deed} them.",
    "Nobody in town had asked for another {threat}, least of all the {companion} with the {thing}.",
    "After years on the road, the {companion} returns to the {place} to {deed} an old friend.",
    "But the {mood} rumours about the {thing} turn out to be only half of the truth.",
    "Together with the {companion} from next door, {who} has until summer to end the {threat}.",
    "What begins at the {place} as a {mood} game soon leads all of them far away from home.",
    "Every night the {thing} points towards the {place}, and every morning it is forgotten.",
    "Soon there is no one left to {deed} except for the people whom {who} loves the most.",
    "As the {threat} draws closer, even the {mood} days at school have to come to an end.",
    "One letter is enough to send {who} across the sea, past the {place} and into a {threat}.",
    "This is the {mood} story of those who dared to {deed} others when it mattered.",
    "Behind the {thing}, so the elders say, there sleeps a {companion} of whom no one may speak.",
    "It takes a {companion} to find the {thing}, and somebody like {who} to understand it.",
    "Meanwhile, on the other side of the {place}, they make plans to {deed} them all.",
    "Whether {who} likes it or not, the {mood} season has only just started.",
)
DESCRIPTION: Mapping[str, str] = {
    "trait": "stubborn cheerful secretive clumsy ambitious lazy fearless polite "
    "jealous curious patient vain loyal sarcastic timid hungry",
    "habit": "whistles gambles sketches meditates fences sleepwalks complains bakes "
    "argues climbs daydreams fishes tinkers sings juggles reads",
    "past": "orphan prodigy deserter princess apprentice champion exile amnesiac "
    "smuggler priest soldier inventor refugee actor heiress hermit",
}
DESCRIPTION_SENTENCES = (
    "{who} is the class representative and, as everyone soon finds out, quite {trait}.",
    "In the first season we learn of a past as the {past} of whom the whole village still talks.",
    "Whenever things get serious, {who} simply {habit} until they are over.",
    "Those who only know the {trait} side of {who} are in for a surprise.",
    "According to the guidebook, {who} often {habit} before breakfast, rain or shine.",
    "Once mistaken for a {past}, {who} has worn a hood in public ever since.",
    "A {trait} smile hides a great deal, and so does the habit that people notice first.",
    "Very few know that this {past} also {habit} at night, when the others are asleep.",
)
SYLLABLES = "ka ro mi ten shu na ri yo ha ku se to chi ma re no sa ji lu ba do fe gi ho ne pa ra su ta zu"


@dataclass(frozen=True)
class Lexicon:
    """Words by kind, each with an effect; effects are random, so that they cannot be guessed from the meaning."""

    words: Mapping[str, Sequence[str]]
    effects: Mapping[str, NDArray[np.float64]]

    @classmethod
    def generate(cls, rng: np.random.Generator, words: Mapping[str, str]) -> "Lexicon":
        lists = {kind: text.split() for kind, text in words.items()}
        return cls(lists, {kind: rng.normal(size=len(words)) for kind, words in lists.items()})

    def sample(self, rng: np.random.Generator, kind: str, tilt: float) -> tuple[str, float]:
        """Sample a word and its effect; the larger `tilt`, the more likely are words with large effects."""
        effect = self.effects[kind]
        weight = np.exp(tilt * effect).cumsum()
        position = int(np.searchsorted(weight, rng.random() * weight[-1]))
        return self.words[kind][position], float(effect[position])


def generate_text(
    rng: np.random.Generator,
    lexicon: Lexicon,
    sentences: Sequence[str],
    *,
    who: Sequence[str],
    tilt: float,
    n_sentences: int,
) -> tuple[str, float]:
    """Generate a text about `who`; return it with the mean effect of the lexicon's words in it.

    Args:
        rng: Random generator.
        lexicon: The words.
        sentences: Templates of sentences; all are used before any is used again.
        who: Names of persons, of which each sentence uses one.
        tilt: Approximate mean effect of the words; see `Lexicon.sample`.
        n_sentences: Number of sentences.
    """
    order = np.concatenate([rng.permutation(len(sentences)) for _ in range(-(-n_sentences // len(sentences)))])
    effects: list[float] = []

    def fill(slot: re.Match[str]) -> str:
        if slot[1] == "who":
            return who[int(rng.integers(len(who)))]
        word, effect = lexicon.sample(rng, slot[1], tilt)
        effects.append(effect)
        return word

    text = " ".join(re.sub(r"\{(\w+)\}", fill, sentences[position]) for position in order[:n_sentences])
    return text, float(np.mean(effects))


def person_names(rng: np.random.Generator, n: int) -> list[str]:
    """Generate `n` different names of persons."""
    syllables = SYLLABLES.split()
    found: dict[str, None] = {}
    while len(found) < n:
        first, last = ("".join(rng.choice(syllables, size)).capitalize() for size in (3, 2))
        found[f"{first} {last}"] = None
    return list(found)
