"""An explanation as a page: one file that needs no network."""

from collections.abc import Iterable
from pathlib import Path

import jinja2

from anirec.atomic import write_text
from anirec.inference.explain.explanation import Explanation
from anirec.inference.explain.terminal import typical_nothing

HERE = Path(__file__).parent
N_WORDS = 12  # in each direction


def write_page(explanation: Explanation, path: Path) -> None:
    """Write the page of an explanation; the file is complete or not changed."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"points": points, "shade": shade}
    terms = [*explanation.terms().items(), *explanation.facts.items()]
    up = sorted((pair for pair in terms if pair[1] > 0), key=lambda pair: -pair[1])[:N_WORDS]
    down = sorted((pair for pair in terms if pair[1] < 0), key=lambda pair: pair[1])[:N_WORDS]
    nothing = typical_nothing(explanation)
    rows = [
        ("a title of which nothing is known", explanation.nothing, nothing, explanation.nothing - nothing, ""),
        *(
            (named(one.name, one.is_present), one.effect, one.average, one.difference, "+")
            for one in explanation.modalities
        ),
        ("predicted score", explanation.score, explanation.baseline, explanation.score - explanation.baseline, ""),
    ]
    content = environment.get_template("page.html").render(
        e=explanation,
        rows=rows,
        up=up,
        down=down,
        largest=largest(row[3] for row in rows),
        strongest=largest(effect for _, effect in up + down),
        largest_span=largest(span.effect for text in explanation.texts for span in text.spans),
        largest_character=largest(one.effect for one in explanation.characters),
    )
    write_text(path, content)


def named(name: str, is_present: bool) -> str:
    return name if is_present else f"{name}: missing"


def largest(values: Iterable[float]) -> float:
    """Return the largest absolute value; tiny instead of 0, since it divides."""
    return max((abs(value) for value in values), default=0.0) or 1e-9


def points(form: str, value: float) -> str:
    """Return a number without a sign before 0.

    >>> points("+.2f", -0.001)
    '+0.00'
    """
    places = int(form.rstrip("f").rpartition(".")[2])
    return f"{round(value, places) + 0.0:{form}}"


def shade(effect: float, largest: float) -> str:
    """Return the background of a word with an effect: red raises the score, blue lowers it."""
    colour = "214, 96, 77" if effect > 0 else "67, 147, 195"
    return f"rgba({colour}, {0.75 * (abs(effect) / largest) ** 0.7:.2f})"
