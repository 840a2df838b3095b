"""Operation counts of both sides at equal accuracy: comparisons without price lists.

The front of a side holds its configurations with the fewest synaptic events or
multiply-accumulates. Other counts are read along that front, at the same
places. Only networks with narrow weights take part, trained for this comparison,
except in the rows of `ANY_WIDTH`.

Fronts are chosen, read and drawn as for energies (`statistics`). A side that misses an
accuracy in a draw has lost it: its counts are infinite. A front that starts above the
accuracy is read at its start, an upper bound.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from spikejoule.compare.exchange import ACCESSES
from spikejoule.core.errors import DataError
from spikejoule.energy.estimates import BootstrapSettings, Floats
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
from spikejoule.energy.terms import TERMS
from spikejoule.report.names import way_of
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import (
    Front,
    Quantity,
    SideNetworks,
    ratios_of,
    spread,
)
from studies.verdict.verdicts import LEVELS_PERCENT

WIDEST_BITS: Final = 6
"""Widest weights of the networks that were trained for this comparison."""


def terms_of(part: str) -> tuple[str, ...]:
    """The terms of a part of an inference's energy."""
    return tuple(name for name, term in TERMS.items() if term.part == part)


WEIGHTS: Final = terms_of("weight_accesses")
STATES: Final = terms_of("state_accesses")
PASSED_ON: Final = terms_of("activation_accesses")


def operations(network: RecordedNetwork) -> float:
    """Synaptic events of a spiking network, multiply-accumulates of another.

    Of 1-bit inputs, a conventional network accumulates weights instead.
    """
    return network.count("synaptic_event", "mac", "accumulation")


def with_biases(network: RecordedNetwork) -> float:
    """Operations, and additions of biases."""
    return operations(network) + network.count("bias_addition")


def accesses(network: RecordedNetwork) -> float:
    """Words read or written."""
    return network.count(*ACCESSES)


EVENTS: Final = "synaptic events per weight multiplied or added"
MEMORY_ACCESSES: Final = "all memory accesses"

QUANTITIES: Final[Mapping[str, Quantity]] = {
    EVENTS: operations,
    "the same, biases added on both sides": with_biases,
    "weights, indices and biases read": lambda network: network.count(*WEIGHTS),
    "potentials or accumulators read and written": lambda network: network.count(
        *STATES
    ),
    "spikes or activations read and written": lambda network: network.count(*PASSED_ON),
    MEMORY_ACCESSES: accesses,
    "bits that they move": lambda network: network.bits(*ACCESSES),
}
"""What is compared, spiking over conventional, along the fronts of `operations`."""

ANY_WIDTH: Final[Mapping[str, Quantity]] = {
    "synaptic events per weight multiplied or added, any bit width": operations,
    "the same, biases added on both sides, any bit width": with_biases,
}
"""What is compared among networks of any width, each along its own fronts."""


@dataclass(frozen=True)
class CountRatio:
    """A count of the spiking front divided by that of the conventional one.

    Attributes:
        quantity: what is counted, a key of `QUANTITIES`.
        level_percent: the validation accuracy.
        ratio, low, high: median and interval over the draws; infinite where only
            the spiking side misses the accuracy, NaN if both miss it in every draw.
        lost_percent: percentage of infinite ratios, which only the spiking side misses.
    """

    quantity: str
    level_percent: float
    ratio: float
    low: float
    high: float
    lost_percent: float


class CountedSides(NamedTuple):
    """The networks of both sides whose operations are recorded."""

    spiking: SideNetworks
    conventional: SideNetworks

    @classmethod
    def among(
        cls, networks: Iterable[RecordedNetwork], settings: BootstrapSettings
    ) -> Self:
        """Group the counted networks.

        Raises:
            DataError: a side has none.
        """
        members: dict[SideName, list[RecordedNetwork]] = {SPIKING: [], CONVENTIONAL: []}
        for network in networks:
            if network.is_counted:
                members[network.side].append(network)
        spiking = SideNetworks.among(members[SPIKING], settings)
        conventional = SideNetworks.among(members[CONVENTIONAL], settings)
        if spiking is None or conventional is None:
            raise DataError("Counts are compared only if both sides have networks.")
        return cls(spiking, conventional)


def count_ratios(
    networks: Sequence[RecordedNetwork], settings: BootstrapSettings
) -> list[CountRatio]:
    """Compare every quantity at every level."""
    lazy = lazily_updated(networks)
    rows = along(narrow(lazy), QUANTITIES, operations, settings)
    for name, quantity in ANY_WIDTH.items():
        rows += along(lazy, {name: quantity}, quantity, settings)
    return rows


def along(
    networks: Sequence[RecordedNetwork],
    quantities: Mapping[str, Quantity],
    cost: Quantity,
    settings: BootstrapSettings,
) -> list[CountRatio]:
    """Compare quantities along the fronts of a cost."""
    sides = CountedSides.among(networks, settings)
    costs = [side.log_values(cost) for side in sides]
    rows = []
    for name, quantity in quantities.items():
        values = [side.log_values(quantity) for side in sides]
        for level in LEVELS_PERCENT:
            fronts = [
                side.front(side_costs, level)
                for side, side_costs in zip(sides, costs, strict=True)
            ]
            rows.append(_ratio(name, level, fronts, values, settings.confidence))
    return rows


def _ratio(
    quantity: str,
    level: float,
    fronts: Sequence[Front],
    values: Sequence[Floats],
    confidence: float,
) -> CountRatio:
    """Compare a quantity between the fronts of both sides."""
    spiking, conventional = (
        front.drawn(logs) for front, logs in zip(fronts, values, strict=True)
    )
    ratios = ratios_of(spiking, conventional)
    low, ratio, high = spread(ratios, confidence)
    return CountRatio(
        quantity=quantity,
        level_percent=level,
        ratio=ratio,
        low=low,
        high=high,
        lost_percent=100 * float(np.isinf(ratios).mean()) if ratios.size else 0.0,
    )


def narrow(networks: Sequence[RecordedNetwork]) -> list[RecordedNetwork]:
    """The networks that were trained for this comparison."""
    return [one for one in networks if one.weight_bits <= WIDEST_BITS]


def lazily_updated(networks: Sequence[RecordedNetwork]) -> list[RecordedNetwork]:
    """Leave out spiking networks that are also recorded with fewer updates."""
    runs = {(one.weights_sha256, one.method) for one in networks}
    return [
        one
        for one in networks
        if (one.weights_sha256, way_of(one.method, lazy=True)) not in runs
    ]
