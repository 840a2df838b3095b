"""The exchange rate: what a multiply-accumulate must cost for a spiking network to win.

Additions of weights and biases cost 1, a multiply-accumulate x, and an access to a word
of memory y. A network then costs additions + x multiply-accumulates + y accesses. Both
sides need the same energy on the line

    x = (difference in additions + y difference in accesses) / multiply-accumulates

Comparisons, resets, rounding, requantisation and addresses are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.ledger import Variant
from spikejoule.energy.terms import MEMORY_PARTS, TERMS

ADDITIONS: Final = ("synaptic_event", "accumulation", "bias_addition")

ACCESSES: Final = (
    *(name for name, term in TERMS.items() if term.part in MEMORY_PARTS),
    "pixel_read",
)
"""Every term that reads or writes a word of memory in inference."""


@dataclass(frozen=True)
class Work:
    """What a network computes and reads per inference.

    Attributes:
        additions: synaptic events, accumulated weights of 1-bit inputs, and biases.
        macs: multiply-accumulates.
        accesses: words read from and written to memory.
    """

    additions: float
    macs: float
    accesses: float

    @classmethod
    def of(cls, count: Callable[[str], float]) -> Self:
        """Sum the counts of terms."""
        return cls(
            additions=sum(count(term) for term in ADDITIONS),
            macs=count("mac") + count("input_mac"),
            accesses=sum(count(term) for term in ACCESSES),
        )

    def cost(self, mac_price: float, access_price: float) -> float:
        """The cost in additions at the prices of the others, in additions."""
        return self.additions + mac_price * self.macs + access_price * self.accesses


@dataclass(frozen=True)
class ExchangeRate:
    """The line of equal energy: a multiply-accumulate costs as much as these.

    Attributes:
        additions, accesses: numbers of additions and of memory accesses.
    """

    additions: float
    accesses: float


def exchange_rate(spiking: Work, conventional: Work) -> ExchangeRate | None:
    """Return the line of two networks.

    None if the spiking network needs as many multiply-accumulates as the other.
    """
    macs = conventional.macs - spiking.macs
    if macs <= 0:
        return None
    return ExchangeRate(
        additions=(spiking.additions - conventional.additions) / macs,
        accesses=(spiking.accesses - conventional.accesses) / macs,
    )


def exchange_rate_of(analysis: EnergyAnalysis) -> ExchangeRate | None:
    """Return the line of the network and `skipping_of_equal_size`."""
    conventional = skipping_of_equal_size(analysis)
    if conventional is None:
        return None
    spiking = analysis.ledger.variants[0]
    return exchange_rate(
        Work.of(spiking.operations.mean_of), Work.of(conventional.operations.mean_of)
    )


def skipping_of_equal_size(analysis: EnergyAnalysis) -> Variant | None:
    """Return the first conventional network of equal size that skips zeros."""
    compared = {pair.conventional.position for pair in analysis.comparisons}
    for number, variant in enumerate(analysis.ledger.variants):
        if number in compared and variant.dataflow.skips_zeros:
            return variant
    return None
