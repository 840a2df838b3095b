"""Energies and numbers in words."""

from collections.abc import Callable
from decimal import Decimal
from math import isnan
from typing import Final

from spikejoule.energy.estimates import PJ_PER_J, Energy
from spikejoule.energy.timing import Range

_LARGE_COUNT: Final = 1000
_UNITS: Final = (
    (1e12, "J"),
    (1e9, "mJ"),
    (1e6, "µJ"),
    (1e3, "nJ"),
    (1.0, "pJ"),
)


def plain(number: float, digits: int = 3) -> str:
    """Write a number without exponent: 17,400, not 1.74e+04."""
    return f"{Decimal(f'{number:.{digits}g}'):,f}"


def count_in_words(count: float) -> str:
    """Write a mean count, with a decimal if it is small."""
    return f"{count:,.0f}" if count >= _LARGE_COUNT else f"{count:,.1f}"


def joules(energy_pj: float, digits: int = 4, like_pj: float | None = None) -> str:
    """Write an energy in a unit that suits it, or that suits `like_pj`."""
    magnitude = abs(energy_pj if like_pj is None else like_pj)
    fitting = [(size, unit) for size, unit in _UNITS if magnitude >= size]
    size, unit = fitting[0] if fitting else _UNITS[-1]
    return f"{plain(energy_pj / size, digits)} {unit}"


def energy_words(energy: Energy, digits: int = 4) -> str:
    """Write the value, or the price range without one."""
    value = energy.value_pj
    ends = [energy.low_pj, energy.high_pj] if value is None else [value]
    # Ends that round to the same words are written once.
    return " to ".join(dict.fromkeys(joules(pj, digits) for pj in ends))


def duration(microseconds: float) -> str:
    """Write a duration in µs, ms or s."""
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if microseconds >= size:
            return f"{plain(microseconds / size)} {unit}"
    return f"{plain(microseconds)} µs"


def joule_seconds(energy_delay_pj_s: float) -> str:
    """Write an energy-delay product, which spans too many magnitudes for prefixes."""
    return f"{energy_delay_pj_s / PJ_PER_J:.3g} J s"


def range_words(numbers: Range, write: Callable[[float], str]) -> str:
    """Write the value, or the ends without one."""
    ends = [numbers.low, numbers.high] if isnan(numbers.value) else [numbers.value]
    return " to ".join(dict.fromkeys(map(write, ends)))


def interval_words(energy: Energy) -> str:
    """Write the interval of the mean, price range included."""
    low = joules(energy.lowest_pj)
    high = joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"
