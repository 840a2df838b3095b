"""Sentences: the templates of the folder `sentences`, filled in.

Page, card, terminal and JSON share them. A template is data, not code: every line of it that is
left is a sentence. What `words.j2` says of one thing each (a ratio, a network, a price) is a filter
of the same name here and on the page.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from spikejoule.energy.estimates import energy_words, joules, plain
from spikejoule.energy.prices import EVIDENCE, NUMBERS, SCOPES
from spikejoule.energy.terms import PARTS_OF_UPDATE, TERMS, UPDATES, in_words

if TYPE_CHECKING:
    from jinja2 import Environment


OUTCOMES: Final = {
    "snn": "spiking network wins",
    "ann": "conventional network wins",
    "undecided": "undecided",
    "neither": "neither reaches it",
}


@cache
def templates() -> "Environment":
    """The engine of the templates, without escaping: its sentences are plain text."""
    # Here and not above: a served model has no jinja2, and prints no sentences.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701
        loader=PackageLoader("spikejoule.energy", "sentences"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "joules": joules,
        "plain": plain,
        "energy": energy_words,
        "term": in_words,
        "terms": lambda names: in_words(*names),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    environment.globals |= {
        "EVIDENCE": EVIDENCE,
        "NUMBERS": NUMBERS,
        "OUTCOMES": OUTCOMES,
        "PARTS_OF_UPDATE": PARTS_OF_UPDATE,
        "SCOPES": SCOPES,
        "TERMS": TERMS,
        "UPDATES": UPDATES,
    }
    words = environment.get_template("words.j2").module
    environment.filters |= {
        name: _plain(macro) for name, macro in vars(words).items() if not name.startswith("_")
    }
    return environment


def _plain(macro: Any) -> Any:
    return lambda *values: str(macro(*values))


def sentences(of: str, **values: Any) -> tuple[str, ...]:
    """The lines of a template that are left with these values."""
    lines = templates().get_template(f"{of}.j2").render(values).splitlines()
    return tuple(line.strip() for line in lines if line.strip())
