"""What of an inference is due once, however many steps its window has."""

from collections.abc import Mapping
from typing import Final

from spikejoule.encoding.events import Products
from spikejoule.energy import terms

_ONCE: Final = (terms.PIXEL_READ, terms.ZERO_COMPARISON, terms.DECISION_COMPARISON)
# What a code with a rate does to a pixel before its first step.
_ONCE_OF_A_RATE: Final = (terms.CODE_MULTIPLICATION, terms.CODE_LOGARITHM)


def due_once(
    counts: Mapping[tuple[str, str], float], has_rate: bool, products: Products | None = None
) -> dict[tuple[str, str], float]:
    """The part of each count that does not grow with the window.

    A code without a rate turns the whole image into spikes at once; one with a rate decides anew in
    every step, but looks for the pixels that can fire, and computes their rates, once.

    Args:
        counts: operations per inference by term and place, over the whole window.
        has_rate: whether the code has a rate.
        products: how often constant currents are multiplied; None for an input of spikes.
    """
    currents = next((place for term, place in counts if term == terms.INPUT_MAC), None)
    pixels = sum(count for (term, _), count in counts.items() if term == terms.PIXEL_READ)
    found = {}
    for (term, place), count in counts.items():
        whole = term in _ONCE or (products == "once" and place == currents)
        if term in terms.OF_CODE:
            whole = whole or not has_rate or term in _ONCE_OF_A_RATE
        once = count if whole else 0.0
        if term == terms.CODE_COMPARISON and not whole:
            once = min(pixels, count)
        found[term, place] = once
    return found
