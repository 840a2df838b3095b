"""Operation counts behind the recorded energies, and comparisons without price lists.

A recorded network has energies and no counts. Two arithmetic price lists charge only
products and additions (a multiply-accumulate is one of each), so both counts follow
from the two energies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.energy.ledger import SPIKING
from studies.verdict.networks import DEVIATION, VALUE, RecordedNetwork
from studies.verdict.verdicts import Verdict, verdicts

FLOATS: Final = "45nm-fp32"
INTEGERS: Final = "45nm-int32"

# Horowitz 2014, in pJ, under both price lists.
PRODUCT_PJ: Final = {FLOATS: 3.7, INTEGERS: 3.1}
ADDITION_PJ: Final = {FLOATS: 0.9, INTEGERS: 0.1}


@dataclass(frozen=True)
class Counts:
    """Operations of an inference, means over images."""

    products: float
    additions: float


def counts_of(network: RecordedNetwork) -> Counts | None:
    """Solve for the counts of a network; None unless it has both energies.

    They solve ``energy = products * product_pj + additions * addition_pj`` for both
    lists.
    """
    float_pj = network.energies.get(f"{FLOATS}:{VALUE}")
    integer_pj = network.energies.get(f"{INTEGERS}:{VALUE}")
    if float_pj is None or integer_pj is None:
        return None
    determinant = (
        PRODUCT_PJ[FLOATS] * ADDITION_PJ[INTEGERS]
        - PRODUCT_PJ[INTEGERS] * ADDITION_PJ[FLOATS]
    )
    products = float_pj * ADDITION_PJ[INTEGERS] - integer_pj * ADDITION_PJ[FLOATS]
    additions = integer_pj * PRODUCT_PJ[FLOATS] - float_pj * PRODUCT_PJ[INTEGERS]
    # Rounding may put a count of 0 below 0.
    return Counts(max(products / determinant, 0.0), additions / determinant)


def events_or_macs(network: RecordedNetwork, counts: Counts) -> float:
    """Synaptic events of a spiking network, or MACs of a conventional one.

    The spiking networks with 4-bit weights have no biases: their additions are their
    events.
    """
    return counts.additions if network.side == SPIKING else counts.products


def width_pj(network: RecordedNetwork, counts: Counts) -> float:
    """Price arithmetic by width, in pJ.

    A product costs 0.2 pJ for 8 x 8 bits and in proportion to the product of its
    widths, an addition 0.1 pJ for 32 bits and in proportion to the width of the sum
    (Horowitz 2014).
    """
    has_narrow_sums = "16-bit sums" in network.network or network.weight_bits == 4
    sum_bits = 16 if has_narrow_sums else 32
    product_pj = 0.2 * network.weight_bits**2 / 64
    addition_pj = 0.1 * sum_bits / 32
    return counts.products * product_pj + counts.additions * addition_pj


def events_per_mac(
    networks: Sequence[RecordedNetwork], settings: BootstrapSettings
) -> list[Verdict]:
    """Synaptic events per multiply-accumulate, both sides with 4-bit weights."""
    narrow = [network for network in networks if network.weight_bits == 4]
    return _verdicts(narrow, events_or_macs, settings)


def priced_by_width(
    networks: Sequence[RecordedNetwork], settings: BootstrapSettings
) -> list[Verdict]:
    """Compare energies of arithmetic priced by width."""
    return _verdicts(networks, width_pj, settings)


def _verdicts(
    networks: Sequence[RecordedNetwork],
    cost: Callable[[RecordedNetwork, Counts], float],
    settings: BootstrapSettings,
) -> list[Verdict]:
    """Compare both sides by a cost that is a function of the counts."""
    prices = load_profiles()[FLOATS].model_copy(update={"id": "counts"})
    priced = [
        _with_energy(network, cost(network, counts), prices.id)
        for network in networks
        if (counts := counts_of(network)) is not None
    ]
    return verdicts(priced, [prices], settings)


def _with_energy(
    network: RecordedNetwork, energy_pj: float, profile: str
) -> RecordedNetwork:
    """A network with one energy; its relative spread over images is that of floats."""
    spread_pj = network.energies[f"{FLOATS}:{DEVIATION}"] or 0.0
    float_pj = network.energies[f"{FLOATS}:{VALUE}"] or 0.0
    own = {name: getattr(network, name) for name in RecordedNetwork.model_fields}
    energies = {
        f"{profile}:{VALUE}": energy_pj,
        f"{profile}:{DEVIATION}": spread_pj / float_pj * energy_pj,
    }
    return RecordedNetwork.model_validate({**own, **energies})
