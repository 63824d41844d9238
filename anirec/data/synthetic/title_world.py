"""Generator of titles with text, characters and portraits whose effects on the score, and so the best error, are known.

One title: "Paper Orchestra 2", synopsis "Soon there is no one left to rescue …", main characters Karomi Tensa and
Hakusu Rimi, each with a description and a drawn portrait, score 7.31, of which the synopsis contributes +0.62.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anirec.data.synthetic.casts import Franchises
from anirec.data.synthetic.demo_ratings import GENRES, WORDS
from anirec.data.synthetic.texts import (
    DESCRIPTION,
    DESCRIPTION_SENTENCES,
    SYNOPSIS,
    SYNOPSIS_SENTENCES,
    Lexicon,
    generate_text,
    person_names,
)
from anirec.errors import UserError

MEAN, DEVIATION = 6.5, 0.9  # of scores, as on MyAnimeList
TILT = 0.8  # standard deviation of the tilt of texts towards words with large effects
ENDINGS = (
    "",
    " of Dawn",
    " of Ash",
    " of Glass",
    " of Rain",
    " Zero",
    " Unbound",
    " Returns",
    " in Winter",
    " at Noon",
)
SUFFIXES = ("", " 2", ": The Movie", " 3", " Specials", " Final Season")
STUDIOS = ("Studio Kumo", "Tsuki Works", "Aoi Pictures", "Hoshi Animation", "Mori Film", "Kaze Line")
TYPES = ("TV", "Movie", "OVA", "Special")
MODALITIES = ("synopsis", "descriptions", "portraits")


class TitleWorld:
    """Generated titles, characters and franchises, and their effects on scores; determined by the arguments.

    Args:
        n_titles: Number of titles, 10 or more.
        synopsis: Share of the variance of scores explained by the words of the synopsis. The five shares are relative
            to their sum.
        descriptions: Share explained by the words of the main characters' descriptions.
        portraits: Share explained by the colours of the main characters' portraits.
        franchise: Share explained by the franchise; useful only to a model that was trained on titles of the same one.
        noise: Share that nothing explains.
        seed: Seed of the generator.

    Raises:
        UserError: All shares are 0.
    """

    def __init__(
        self,
        *,
        n_titles: int,
        synopsis: float,
        descriptions: float,
        portraits: float,
        franchise: float,
        noise: float,
        seed: int,
    ) -> None:
        shares = {
            "synopsis": synopsis,
            "descriptions": descriptions,
            "portraits": portraits,
            "franchise": franchise,
            "noise": noise,
        }
        if not sum(shares.values()) > 0:
            raise UserError(f"dataset.source with {shares}: expected at least one share > 0")
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.franchises = Franchises.generate(rng, n_titles)
        self.names = person_names(rng, self.franchises.n_characters)
        self.warmth = rng.uniform(-1, 1, self.franchises.n_characters)
        self.descriptions, traits = self.describe(rng)
        self.synopses, themes = self.summarise(rng)
        causes = {
            "synopsis": themes,
            "descriptions": self.mean_of_cast(traits),
            "portraits": self.mean_of_cast(self.warmth),
            "franchise": rng.normal(size=self.franchises.n_franchises)[self.franchises.number],
            "noise": rng.normal(size=n_titles),
        }
        total = sum(shares.values())
        self.effects = {name: score_effect(causes[name], share / total) for name, share in shares.items()}
        self.score = np.clip(np.round(MEAN + sum(self.effects.values()), 2), 1, 10)
        # The ids of a franchise's titles are not consecutive.
        self.order = rng.permutation(n_titles)

    def describe(self, rng: np.random.Generator) -> tuple[list[str], NDArray[np.float64]]:
        """Generate the description of each character and the effect of its words."""
        lexicon = Lexicon.generate(rng, DESCRIPTION)
        tilts = rng.normal(0, TILT, len(self.names))
        lengths = rng.integers(2, 7, len(self.names))
        found = [
            generate_text(
                rng, lexicon, DESCRIPTION_SENTENCES, who=[name.split()[0]], tilt=tilt, n_sentences=int(length)
            )
            for name, tilt, length in zip(self.names, tilts, lengths, strict=True)
        ]
        return [text for text, _ in found], np.array([effect for _, effect in found])

    def summarise(self, rng: np.random.Generator) -> tuple[list[str], NDArray[np.float64]]:
        """Generate the synopsis of each title and the effect of its words.

        Synopses with large effects tend to be longer, but the length itself has no effect.
        """
        lexicon = Lexicon.generate(rng, SYNOPSIS)
        tilts = rng.normal(0, TILT, len(self.franchises.casts))
        lengths = np.clip(np.rint(rng.lognormal(1.75 + 0.25 * tilts, 0.4)), 2, 12).astype(int)
        found = [
            generate_text(
                rng,
                lexicon,
                SYNOPSIS_SENTENCES,
                who=[self.names[character].split()[0] for character in cast],
                tilt=tilt,
                n_sentences=int(length),
            )
            for cast, tilt, length in zip(self.franchises.casts, tilts, lengths, strict=True)
        ]
        return [text for text, _ in found], np.array([effect for _, effect in found])

    def mean_of_cast(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of `values` over each title's main characters, (n_titles,)."""
        return np.array([values[cast].mean() for cast in self.franchises.casts])

    def facts(self) -> dict[str, float]:
        """Return the metrics of the best possible prediction from synopsis, descriptions and portraits.

        They hold for franchises outside training.
        """
        best = MEAN + sum(self.effects[name] for name in MODALITIES)
        errors = self.score - best
        return {
            "floor/rmse": float(np.sqrt((errors**2).mean())),
            "ceiling/r2": float(1 - (errors**2).sum() / ((self.score - self.score.mean()) ** 2).sum()),
            "ceiling/pearson": float(np.corrcoef(best, self.score)[0, 1]),
        }

    def items(self) -> pl.DataFrame:
        """Return the items, one row per title, with ids from 1."""
        rng = np.random.default_rng((self.seed, 1))
        of_franchise = np.array(self.franchises.number)
        n_titles, n_franchises = len(self.score), self.franchises.n_franchises
        genres = [rng.choice(GENRES, size, replace=False).tolist() for size in rng.integers(1, 4, n_franchises)]
        studio = rng.integers(len(STUDIOS), size=n_franchises)[of_franchise]
        members = 10 ** np.clip(rng.normal(4.3, 0.7, n_titles) + 0.5 * (self.score - MEAN), 2, 6.5)
        columns: dict[str, Any] = {
            "item_id": np.argsort(self.order) + 1,
            "title": [self.title(*where) for where in zip(of_franchise, self.franchises.place, strict=True)],
            "type": [TYPES[place] for place in rng.choice(len(TYPES), n_titles, p=[0.5, 0.2, 0.2, 0.1])],
            "genres": [genres[number] for number in of_franchise],
            "studios": [[STUDIOS[place]] for place in studio],
            "score": self.score.astype(np.float32),
            "scored_by": (members * rng.uniform(0.2, 0.6, n_titles)).astype(np.int64),
            "members": members.astype(np.int64),
            "synopsis": self.synopses,
        }
        return pl.DataFrame(columns).sort("item_id")

    def title(self, franchise: int, place: int) -> str:
        """Return the name of the franchise with a suffix for the title; the first 1,000 names are unique."""
        digits = franchise // 100 % 10, franchise // 10 % 10, franchise % 10
        rest, first, second = (words[digit] for words, digit in zip((ENDINGS, *WORDS), digits, strict=True))
        return f"{first} {second}{rest}" + (SUFFIXES[place] if place < len(SUFFIXES) else f" {place}")

    def characters(self) -> pl.DataFrame:
        """Return the characters, with ids from 1."""
        ids = range(1, len(self.names) + 1)
        return pl.DataFrame(
            {
                "character_id": list(ids),
                "name": self.names,
                "description": self.descriptions,
                "portrait": [f"{number}.png" for number in ids],
            }
        )

    def appearances(self) -> pl.DataFrame:
        """Return the appearances of main characters, and of supporting ones, who come from any franchise."""
        rng = np.random.default_rng((self.seed, 2))
        rows = []
        for item, cast in zip(np.argsort(self.order) + 1, self.franchises.casts, strict=True):
            guests = rng.choice(len(self.names), int(rng.integers(0, 3)), replace=False)
            rows += [(item, character + 1, "Main") for character in cast]
            rows += [(item, character + 1, "Supporting") for character in guests if character not in cast]
        return pl.DataFrame(rows, schema=["item_id", "character_id", "role"], orient="row").sort("item_id")

    def draw(self, folder: Path) -> None:
        """Write the portrait of each character to a new folder, named 1.png and so on."""
        from anirec.data.synthetic.casts import portrait

        folder.mkdir()
        for place, warmth in enumerate(self.warmth):
            picture = portrait(float(warmth), np.random.default_rng((self.seed, 3, place)))
            picture.save(folder / f"{place + 1}.png", compress_level=1)


def score_effect(cause: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the effect of a cause in score points, (n,), scaled to make up the given share of the variance."""
    return DEVIATION * np.sqrt(share) * (cause - cause.mean()) / cause.std()
