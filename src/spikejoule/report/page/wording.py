"""Counts, places and energies in words."""

import re

from spikejoule.energy.estimates import Amount, Energy, joules


def amount_words(amount: Amount, digits: int = 4) -> str:
    """The value, or the bracket where there is nothing else."""
    if amount.value_pj is not None:
        return joules(amount.value_pj, digits)
    return f"{joules(amount.low_pj, digits)} to {joules(amount.high_pj, digits)}"


def middle_pj(amount: Amount) -> float:
    """The value; of a bracket alone, its upper end."""
    return amount.high_pj if amount.value_pj is None else amount.value_pj


def interval_words(energy: Energy) -> str:
    """The mean's lowest and highest value, by the interval and the prices' bracket."""
    low, high = joules(energy.lowest_pj), joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"


def term_words(term: str) -> str:
    """A term as people write it."""
    return re.sub(r"\bmac\b", "MAC", term.replace("_", " "))


def place_words(place: str) -> str:
    """A layer's name, or a connection as an arrow."""
    return place.replace("_to_", " → ")
