"""Surface of a title: how long its synopsis is, how it is written, and which kinds of information it has.

It does not depend on what the words mean. It says how hard a title is to predict, and how unlike others it is.
"""

import polars as pl

SYNOPSIS = pl.col("synopsis").fill_null("")
N_WORDS = SYNOPSIS.str.count_matches(r"\S+")
N_LETTERS = SYNOPSIS.str.count_matches(r"\p{L}")
MODALITIES = {
    "synopsis": ("synopsis", pl.col("synopsis").is_not_null()),
    "characters": ("n_main_characters", pl.col("n_main_characters").fill_null(0) > 0),
    "portraits": ("portraits", pl.col("portraits").list.drop_nulls().list.len() > 0),
}


def modalities(titles: pl.DataFrame) -> pl.DataFrame:
    """Return whether each title has a modality, a column of bool for each one that the titles may have.

    >>> modalities(pl.DataFrame({"synopsis": ["A ghost.", None], "n_main_characters": [0, 3]})).to_dict(as_series=False)
    {'synopsis': [True, False], 'characters': [False, True]}
    """
    return titles.select(has.alias(name) for name, (column, has) in MODALITIES.items() if column in titles.columns)


def surface(titles: pl.DataFrame) -> pl.DataFrame:
    """Return surface features, float32, one row per title.

    They are the logarithm of the number of words; commas and other punctuation per word; capitals, and letters outside
    the Latin script, per letter; letters per word; and an indicator of each modality, such as `has_characters`.

    Args:
        titles: Any of the columns synopsis, n_main_characters and portraits of `Corpus.titles`.

    >>> surface(pl.DataFrame({"synopsis": ["A boy, a girl."]})).row(0, named=True)["commas"]
    0.25
    """
    has = modalities(titles).select(pl.all().cast(pl.Float32).name.prefix("has_"))
    if "synopsis" not in titles.columns:
        return has

    def per(whole: pl.Expr, pattern: str) -> pl.Expr:
        return SYNOPSIS.str.count_matches(pattern) / pl.max_horizontal(whole, pl.lit(1))

    text = {
        "log_words": (N_WORDS + 1).log(),
        "commas": per(N_WORDS, ","),
        "other_punctuation": per(N_WORDS, r"[^\p{L}\p{N}\s,]"),
        "capitals": per(N_LETTERS, r"\p{Lu}"),
        "non_latin": per(N_LETTERS, r"[\p{L}--\p{Latin}]"),
        "word_length": per(N_WORDS, r"\p{L}"),
    }
    return titles.select(expression.cast(pl.Float32).alias(name) for name, expression in text.items()).hstack(has)
