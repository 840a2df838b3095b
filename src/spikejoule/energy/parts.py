"""What an inference's energy goes to, in parts that both kinds of network have."""

from collections.abc import Mapping
from typing import Final

from spikejoule.energy import terms
from spikejoule.energy.contenders import Contender
from spikejoule.energy.pricing import price_vector
from spikejoule.energy.profiles import HardwareProfile

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "weights added or multiplied": (terms.SYNAPTIC_EVENT, terms.INPUT_MAC, terms.MAC),
    "biases, leaks, comparisons, resets": (
        terms.BIAS_ADDITION,
        terms.LEAK_MULTIPLICATION,
        terms.THRESHOLD_COMPARISON,
        terms.RESET,
        terms.ACTIVATION_COMPARISON,
        terms.ZERO_COMPARISON,
        terms.REQUANTISATION,
    ),
    "addresses": (terms.ADDRESS_EVENT, terms.ADDRESS_UNIT, terms.ADDRESS_MAC),
    "weights read": (terms.WEIGHT_READ, terms.INDEX_READ, terms.BIAS_READ),
    "potentials or sums read and written": (
        terms.STATE_ACCESS,
        terms.STATE_ACCESS_PER_EVENT,
        terms.SUM_ACCESS_PER_MAC,
    ),
    "spikes or activations handed on": (
        terms.SPIKE_READ,
        terms.SPIKE_WRITE,
        terms.ACTIVATION_READ,
        terms.ACTIVATION_WRITE,
    ),
    "code and answer": (*terms.OF_CODE, *terms.OF_ANSWER),
}
"""Terms by the part that they belong to."""


def energy_by_part(contender: Contender, profile: HardwareProfile) -> dict[str, float]:
    """pJ per inference of each part, means under the prices' values; of brackets, the upper ends.

    A part without a price is 0.
    """
    operations = contender.operations
    prices = price_vector(operations.columns, profile)
    energies = operations.means * (prices.high_pj if prices.value_pj is None else prices.value_pj)
    sums = dict.fromkeys(PARTS, 0.0)
    part_of = {term: part for part, held in PARTS.items() for term in held}
    for column, energy in zip(operations.columns, energies, strict=True):
        if column.term in part_of:
            sums[part_of[column.term]] += float(energy)
    return sums
