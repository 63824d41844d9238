"""The tags of generated posts: names, frequencies, and effects on the score.

One series: silver_voyage, hana_(silver_voyage) and four more characters, silver_voyage_uniform, _cape and _emblem.
"""

from collections.abc import Mapping

import numpy as np

from anirec.data.synthetic.demo_ratings import WORDS
from anirec.data.synthetic.texts import person_names

# Shares of posts with neither 1girl nor 1boy, with 1girl only, with 1boy only, with both.
SUBJECTS = (0.62, 0.32, 0.05, 0.01)
TAGME, ORIGINAL = 0.012, 0.33  # shares of posts with tagme; of posts without a series, with original
BARE = 0.05  # probability of any other tag on a post with tagme, relative to other posts
# Share of posts with each tag, of posts with neither 1girl nor 1boy, with 1girl, with 1boy.
NAMED: Mapping[str, tuple[float, float, float]] = {
    "solo": (0.24, 0.71, 0.60),
    "long_hair": (0.22, 0.42, 0.06),
    "smile": (0.16, 0.28, 0.14),
    "looking_at_viewer": (0.08, 0.24, 0.12),
    "highres": (0.11, 0.11, 0.11),
    "dress": (0.05, 0.24, 0.005),
    "ribbon": (0.06, 0.20, 0.01),
    "skirt": (0.10, 0.26, 0.005),
    "twintails": (0.05, 0.15, 0.002),
    "hair_ornament": (0.05, 0.18, 0.02),
    "necktie": (0.04, 0.03, 0.34),
    "muscular": (0.004, 0.001, 0.20),
    "male_focus": (0.01, 0.001, 0.55),
    "beard": (0.004, 0.0005, 0.12),
    "flower": (0.05, 0.10, 0.04),
    "sky": (0.04, 0.06, 0.04),
    "scenery": (0.04, 0.02, 0.02),
    "wings": (0.03, 0.05, 0.03),
    "cat_ears": (0.05, 0.07, 0.02),
    "chibi": (0.09, 0.03, 0.03),
    "monochrome": (0.07, 0.05, 0.07),
    "comic": (0.07, 0.01, 0.02),
    "sketch": (0.04, 0.03, 0.05),
    "transparent_background": (0.03, 0.04, 0.03),
    "photo": (0.035, 0.01, 0.01),
    "lowres": (0.04, 0.02, 0.02),
    "parody": (0.05, 0.02, 0.02),
}
FIXED = ("1girl", "1boy", "original", "tagme", *NAMED)
IN_SERIES = 0.5  # share of posts
# Shares of the posts of a series with its copyright tag, with each of its characters, with each of its costumes.
MEMBERS = (0.95, 0.40, 0.25, 0.15, 0.10, 0.06, 0.60, 0.45, 0.30)
COSTUMES = ("uniform", "cape", "emblem")
# Share of posts with the r-th of all other tags: HEAD * ((1 + SHIFT) / (r + SHIFT)) ** SLOPE (Zipf-Mandelbrot law).
HEAD, SHIFT, SLOPE = 0.27, 16, 1.1
SPREAD = 4.0  # shape of the gamma distribution of their number per post; larger values make posts more alike
# Effects on the score, relative to each other. Of the two most frequent series, only the first is liked.
FIRST_SERIES, SECOND_SERIES = 1.0, -0.43
LIKED = {"highres": 0.8, "original": 0.68, "scenery": 0.48, "sky": 0.43, "flower": 0.39, "wings": 0.33, "smile": 0.28}
LIKED |= {"cat_ears": 0.23, "looking_at_viewer": 0.18}
DISLIKED = {"photo": -0.9, "comic": -0.72, "lowres": -0.6, "tagme": -0.5, "monochrome": -0.37, "sketch": -0.31}
DISLIKED |= {"transparent_background": -0.26, "chibi": -0.21, "parody": -0.16}

# The most frequent of the other tags, and the words that the rest are made of.
COMMON = (
    "blush open_mouth short_hair blue_eyes brown_hair black_hair simple_background red_eyes blonde_hair "
    "white_background long_sleeves brown_eyes gloves hat green_eyes full_body sitting bangs purple_eyes pink_hair "
    "bow upper_body multiple_girls jewelry standing blue_hair holding closed_eyes purple_hair braid shirt weapon "
    "white_gloves ponytail green_hair grey_hair red_hair boots glasses very_long_hair day outdoors cloud "
    "pantyhose kneehighs"
)
QUALITIES = (
    "red blue green black white yellow pink purple brown grey silver golden orange aqua striped plaid torn long "
    "short large small broken glowing old wooden paper straw metal crystal round folded floating frilled lace "
    "patterned checkered polka_dot heart-shaped star-shaped two holding tiny"
)
THINGS = (
    "sleeves headwear footwear ribbon_trim scarf jacket coat necktie bag umbrella book cup table chair window "
    "door bed sword lance bow_(weapon) shield staff fan mask helmet crown hairband hair_bow choker necklace "
    "earrings bracelet ring belt apron cape kimono sash vest sweater hoodie shorts pants socks shoes sandals "
    "eyewear goggles headphones microphone guitar piano violin bicycle train car boat lantern candle balloon ball "
    "kite box clock mirror phone camera cake apple bread teapot cat dog rabbit bird fish dragon butterfly tree "
    "leaf moon"
)


def tag_names(rng: np.random.Generator, n_tags: int, n_groups: int) -> list[str]:
    """Generate different tags: the fixed ones, those of each series, and all others, most frequent first."""
    titles = [f"{first}_{second}".lower() for first in WORDS[0] for second in WORDS[1]]
    titles = [titles[place] for place in rng.permutation(len(titles))]
    people = iter(person_names(rng, n_groups * (len(MEMBERS) - 1 - len(COSTUMES))))
    found = list(FIXED)
    for group in range(n_groups):
        title = numbered_word(titles, group)
        characters = [next(people).lower().replace(" ", "_") for _ in MEMBERS[1 + len(COSTUMES) :]]
        found += [title, *(f"{name}_({title})" for name in characters), *(f"{title}_{what}" for what in COSTUMES)]
    made = [f"{quality}_{thing}" for quality in QUALITIES.split() for thing in THINGS.split()]
    others = list(dict.fromkeys([*COMMON.split(), *(made[place] for place in rng.permutation(len(made)))]))
    return found + [numbered_word(others, place) for place in range(n_tags - len(found))]


def numbered_word(words: list[str], place: int) -> str:
    """Return the word at a position; beyond the end, start over and append the number of the round.

    >>> numbered_word(["red_hat", "old_tree"], 3)
    'old_tree_2'
    """
    around, place = divmod(place, len(words))
    return words[place] + (f"_{around + 1}" if around else "")
