"""The table of terms: every operation that is counted, and what a price may make of it.

A term is a kind of operation with an integer count of its own. Everything else that is
known of it is its row of `terms.csv`; a new term is a row and its count
(`docs/how-to/add-a-term.md`).
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

UNIT_WORK: Final = "biases, leaks, comparisons, resets"
PARTS: Final = (
    "weights added or multiplied",
    UNIT_WORK,
    "addresses",
    "weights read",
    "potentials or sums read and written",
    "spikes or activations passed on",
    "encoding and answer",
)
"""What an inference's energy goes to, in parts that both kinds of network have."""

UPDATES: Final = ("neuron_update_active", "neuron_update_inactive")
"""The two kinds of neuron update."""


@dataclass(frozen=True)
class Term:
    """A row of the table.

    Attributes:
        name: by which counts, price files and metrics/energy.csv call it.
        side: what does it: ``encoding`` an image, a ``spiking`` network's inference,
            its ``input`` of constant currents, a ``conventional`` network, ``either``
            of them, finding the ``answer``, the ``route`` of a spike on a chip,
            ``training``; ``arithmetic`` is what terms consist of.
        operation: the arithmetic that it is, ``mac``, ``addition`` or
            ``multiplication``.
        priced: scopes of profiles that may have a price for it: ``arithmetic``,
            ``memory``, ``system``; ``chip`` are those of events.
        part: what of an inference's energy it belongs to, one of `PARTS`; empty for a
            chip's own units of work, whose price is of several parts at once, and
            outside of inference.
        within: terms whose price on a chip contains this one: what a whole synaptic
            operation or neuron update takes includes the words that it reads and
            writes. Adding a memory's price to it would count them twice.
        grows: whether it grows with the spikes; an active update does so in place of an
            inactive one.
        once: due once an ``inference``, however many steps its window has; ``rate`` if
            only an encoding that draws in every step does it once.
        optional_as: hardware may do without it, so that the lower end of a total leaves
            it out; in a memory, it has the price of this other term.
        sentence: what one operation of it is.
    """

    name: str
    side: str
    operation: str
    priced: tuple[str, ...]
    part: str
    within: tuple[str, ...]
    grows: bool
    once: str
    optional_as: str
    sentence: str


def _cell(column: str, text: str) -> Any:
    if column in ("priced", "within"):
        return tuple(text.split())
    return bool(text) if column == "grows" else text


with open(
    Path(__file__).with_name("terms.csv"), encoding="utf-8", newline=""
) as _stream:
    _ROWS = [
        Term(**{key: _cell(key, text) for key, text in row.items()})
        for row in csv.DictReader(_stream)
    ]

TERMS: Final = {term.name: term for term in _ROWS}
"""The table, by name."""

PARTS_OF_UPDATE: Final = tuple(
    name
    for name, term in TERMS.items()
    if term.part == UNIT_WORK and term.within == UPDATES and term.operation
)
"""Operations of arithmetic that a neuron update contains."""


def priceable(priced: str) -> tuple[str, ...]:
    """Terms that profiles of a kind of scope may have a price for."""
    return tuple(name for name, term in TERMS.items() if priced in term.priced)


def in_words(*names: str) -> str:
    """Terms as people write them, after one another."""
    words = ", ".join(names).replace("code_", "encoding ").replace("_", " ")
    return re.sub(r"\bmac\b", "MAC", words)
