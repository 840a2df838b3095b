"""The table of terms: every counted operation, and how it may be priced.

A term is a kind of operation with its own integer count. Its row in `terms.csv` holds
everything else about it; adding a term takes a row and a count
(`docs/how-to/add-a-term.md`).
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MEMORY_PARTS: Final = ("weight_accesses", "state_accesses", "activation_accesses")
"""Parts of an inference's energy that access memory."""

PARTS: Final = (
    "products",
    "unit_work",
    "addresses",
    *MEMORY_PARTS,
    "encoding_and_readout",
)
"""Parts of an inference's energy that spiking and conventional networks share."""

UPDATES: Final = ("neuron_update_active", "neuron_update_inactive")
"""The two kinds of neuron update."""


@dataclass(frozen=True)
class Term:
    """A row of the table.

    Attributes:
        name: its name in counts, price files and metrics/energy.csv.
        side: what performs it: ``encoding`` of an image, inference of a ``spiking``
            network, its ``input`` of constant currents, a ``conventional`` network,
            ``either`` network, finding the ``answer``, the ``route`` of a spike on a
            chip, or ``training``. ``arithmetic`` operations are what terms consist of.
        operation: the arithmetic it consists of: ``mac``, ``addition`` or
            ``multiplication``; in training also ``comparison``, ``division``, ``root``
            or ``exponential``.
        priced: scopes of price lists that may price it: ``arithmetic``, ``memory``,
            ``system`` or ``chip``.
        part: its part of an inference's energy, one of `PARTS`. Empty outside
            inference, and for a chip's own units of work, whose price spans several
            parts.
        within: terms whose price on a chip includes this one: a synaptic operation or
            neuron update includes the words that it reads and writes. Adding a memory's
            price would count them twice.
        grows: whether it grows with the spikes; an active update replaces an inactive
            one.
        optional_as: set if hardware can do without it. The low end of a total then
            leaves it out, and memory price lists charge the price of this other term.
        accessed: the array whose word it reads or writes, as training's energy is
            grouped: ``weights``, ``gradients``, ``moments``, ``deltas``,
            ``kept_potentials``, ``states`` (potentials or accumulators),
            ``activations`` (or spikes) or ``data``; empty for arithmetic and addresses.
        sentence: what one operation is.
    """

    name: str
    side: str
    operation: str
    priced: tuple[str, ...]
    part: str
    within: tuple[str, ...]
    grows: bool
    optional_as: str
    accessed: str
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
    if term.part == "unit_work" and term.within == UPDATES and term.operation
)
"""Arithmetic operations that a neuron update includes."""


def priceable(scope: str) -> tuple[str, ...]:
    """Return the terms that price lists of a scope may price."""
    return tuple(name for name, term in TERMS.items() if scope in term.priced)
