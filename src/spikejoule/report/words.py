"""Counts, places, energies and sources in words, for the page, the card and the charts."""

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from spikejoule.energy.estimates import Amount, Energy, joules
from spikejoule.energy.prices import AnyPrice, PriceBySize, PriceByWidth

# A DOI may hold almost anything but spaces; what closes a sentence or a list does not belong to it.
_REFERENCE = re.compile(r"(doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}|https?://[^\s,;]+)")


def middle_pj(amount: Amount) -> float:
    """The value; of a range alone, its upper end."""
    return amount.high_pj if amount.value_pj is None else amount.value_pj


def interval_words(energy: Energy) -> str:
    """The mean's lowest and highest value, by the interval and the price range."""
    low, high = joules(energy.lowest_pj), joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"


def price_words(price: AnyPrice) -> str:
    """The price of an operation."""
    if isinstance(price, PriceBySize):
        return "by the memory's size"
    if isinstance(price, PriceByWidth):
        powers = ((price.constant_pj, ""), (price.per_bit_pj, " a bit"),
                  (price.per_bit_squared_pj, " a bit squared"))  # fmt: skip
        return " and ".join(f"{joules(number)}{unit}" for number, unit in powers if number)
    span = f"{joules(price.low_pj)} to {joules(price.high_pj)}"
    if price.value_pj is None:
        return span
    value = joules(price.value_pj)
    return value if price.low_pj == price.high_pj else f"{value} ({span})"


def term_words(term: str) -> str:
    """A term as people write it."""
    return re.sub(r"\bmac\b", "MAC", term.replace("_", " "))


def terms_words(terms: Iterable[str]) -> str:
    """Several terms."""
    return ", ".join(term_words(term) for term in terms)


def place_words(place: str) -> str:
    """A layer's name, or a connection as an arrow."""
    return place.replace("_to_", " → ")


def linked(source: str) -> Markup:
    """A reference whose DOI, arXiv number or address is a link."""
    parts = []
    for part in _REFERENCE.split(source):
        address = part
        if part.startswith("doi:"):
            address = f"https://doi.org/{part.removeprefix('doi:')}"
        elif part.startswith("arXiv:"):
            address = f"https://arxiv.org/abs/{part.removeprefix('arXiv:')}"
        link = Markup('<a href="{}">{}</a>').format(address, part)
        parts.append(link if _REFERENCE.fullmatch(part) else escape(part))
    return Markup("").join(parts)
