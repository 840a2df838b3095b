"""Operation counts of both sides at equal accuracy: comparisons without price lists.

The front of a side holds its configurations with the fewest synaptic events or
multiply-accumulates. Other counts are read along that front, between the same
neighbours. Only networks with narrow weights take part, trained for this comparison,
except in the rows of `ANY_WIDTH`.

A side that does not reach an accuracy in a draw has lost it: its counts are infinite. A
front that starts above the accuracy is read at its start, an upper bound. Seeds and
accuracies are drawn as for energies (`statistics`); the spread over images, 0.3 % of a
count, is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, get_args

import numpy as np

from spikejoule.energy import BootstrapSettings
from spikejoule.energy.estimates import Floats
from spikejoule.energy.ledger import CONVENTIONAL, LAZILY, SPIKING, Side
from spikejoule.energy.terms import PARTS, TERMS
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import Booleans, Draws, Front, draw, front_at
from studies.verdict.verdicts import LEVELS_PERCENT

WIDEST_BITS: Final = 6
"""Widest weights of the networks that were trained for this comparison."""

_, _, _, WEIGHTS, STATES, PASSED_ON, _ = (
    tuple(name for name, term in TERMS.items() if term.part == part) for part in PARTS
)
ACCESSES: Final = (*WEIGHTS, *STATES, *PASSED_ON, "pixel_read")
"""Every term that reads or writes a word of memory."""


Quantity = Callable[[RecordedNetwork], float]


def operations(network: RecordedNetwork) -> float:
    """Synaptic events of a spiking network, multiply-accumulates of another."""
    return network.count("synaptic_event", "mac")


def with_biases(network: RecordedNetwork) -> float:
    """Operations, and additions of biases."""
    return network.count("synaptic_event", "mac", "bias_addition")


def accesses(network: RecordedNetwork) -> float:
    """Words read or written."""
    return network.count(*ACCESSES)


QUANTITIES: Final[Mapping[str, Quantity]] = {
    "synaptic events per multiply-accumulate": operations,
    "the same, biases added on both sides": with_biases,
    "weights, indices and biases read": lambda network: network.count(*WEIGHTS),
    "potentials or accumulators read and written": lambda network: network.count(
        *STATES
    ),
    "spikes or activations read and written": lambda network: network.count(*PASSED_ON),
    "all memory accesses": accesses,
    "bits that they move": lambda network: network.bits(*ACCESSES),
}
"""What is compared, spiking over conventional, along the fronts of `operations`."""

ANY_WIDTH: Final[Mapping[str, Quantity]] = {
    "synaptic events per multiply-accumulate, any bit width": operations,
    "the same, biases added on both sides, any bit width": with_biases,
}
"""What is compared among networks of any width, each along its own fronts."""


@dataclass(frozen=True)
class CountRatio:
    """A count of the spiking front divided by that of the conventional one.

    Attributes:
        quantity: what is counted, a key of `QUANTITIES`.
        level_percent: the validation accuracy.
        ratio, low, high: median and interval over the draws; infinite where the
            spiking side does not reach the accuracy.
        spiking, conventional: the counts at the plain means; NaN if not reached.
        lost_percent: percentage of infinite ratios, which only the spiking side misses.
    """

    quantity: str
    level_percent: float
    ratio: float
    low: float
    high: float
    spiking: float
    conventional: float
    lost_percent: float


@dataclass(frozen=True, eq=False)
class CountedDraws:
    """Draws of networks whose operations are recorded.

    Attributes:
        draws: C configurations, drawn B times.
        accuracies: of the configurations, [B, C].
        takes_part: the configurations of each side, [C].
    """

    draws: Draws
    accuracies: Floats
    takes_part: Mapping[Side, Booleans]

    @classmethod
    def of(
        cls, networks: Sequence[RecordedNetwork], settings: BootstrapSettings
    ) -> Self:
        """Draw the counted networks among `networks`."""
        draws = draw([one for one in networks if one.is_counted], settings)
        accuracies = draws.accuracies()
        everyone = np.zeros((3, *accuracies.shape))
        takes_part = {
            side: draws.taking_part(side, everyone) for side in get_args(Side)
        }
        return cls(draws, accuracies, takes_part)

    def log_means(self, quantity: Quantity) -> Floats:
        """Mean logarithm of a quantity over the seeds of each configuration, [B, C]."""
        means = []
        for configuration in self.draws.configurations:
            values = np.array([quantity(one) for one in configuration.networks])
            means.append(configuration.means(np.log(np.maximum(values, 1e-9))))
        return np.stack(means, axis=1)

    def front(self, side: Side, log_costs: Floats, level_percent: float) -> Front:
        """The front of a side by costs [B, C], near an accuracy."""
        ends = np.broadcast_to(log_costs, (3, *log_costs.shape))
        at_percent = level_percent + self.draws.offsets
        return front_at(self.accuracies, ends, self.takes_part[side], at_percent)


def count_ratios(
    networks: Sequence[RecordedNetwork], settings: BootstrapSettings
) -> list[CountRatio]:
    """Compare every quantity at every level."""
    lazy = lazily_updated(networks)
    rows = _along(narrow(lazy), QUANTITIES, operations, settings)
    for name, quantity in ANY_WIDTH.items():
        rows += _along(lazy, {name: quantity}, quantity, settings)
    return rows


def _along(
    networks: Sequence[RecordedNetwork],
    quantities: Mapping[str, Quantity],
    cost: Quantity,
    settings: BootstrapSettings,
) -> list[CountRatio]:
    """Compare quantities along the fronts of a cost."""
    counted = CountedDraws.of(networks, settings)
    costs = counted.log_means(cost)
    rows = []
    for name, quantity in quantities.items():
        values = counted.log_means(quantity)
        for level in LEVELS_PERCENT:
            spiking = counted.front(SPIKING, costs, level).along(values)
            conventional = counted.front(CONVENTIONAL, costs, level).along(values)
            ratios = ratios_of(spiking, conventional)
            low, ratio, high = spread(ratios, settings.confidence)
            row = CountRatio(
                quantity=name,
                level_percent=level,
                ratio=ratio,
                low=low,
                high=high,
                spiking=float(np.exp(spiking[0])),
                conventional=float(np.exp(conventional[0])),
                lost_percent=100 * float(np.isinf(ratios).mean())
                if ratios.size
                else 0.0,
            )
            rows.append(row)
    return rows


def narrow(networks: Sequence[RecordedNetwork]) -> list[RecordedNetwork]:
    """The networks that were trained for this comparison."""
    return [one for one in networks if one.weight_bits <= WIDEST_BITS]


def lazily_updated(networks: Sequence[RecordedNetwork]) -> list[RecordedNetwork]:
    """Leave out spiking networks that are also recorded with fewer updates."""
    runs = {(one.weights_sha256, one.method) for one in networks}
    return [
        one for one in networks if (one.weights_sha256, one.method + LAZILY) not in runs
    ]


def ratios_of(log_spiking: Floats, log_conventional: Floats) -> Floats:
    """Ratios in the draws that a side reaches; infinite or 0 if only one does."""
    spiking = np.where(np.isnan(log_spiking), np.inf, log_spiking)
    conventional = np.where(np.isnan(log_conventional), np.inf, log_conventional)
    either = np.isfinite(spiking) | np.isfinite(conventional)
    ratios: Floats = np.exp(spiking[either] - conventional[either])
    return ratios


def spread(values: Floats, confidence: float) -> tuple[float, float, float]:
    """Lower end of the interval, median and upper end; values may be infinite."""
    if not len(values):
        return np.nan, np.nan, np.nan
    tail = (1 - confidence) / 2
    # No interpolation: halfway to an infinite value is not a number.
    low, median, high = np.quantile(
        values, (tail, 0.5, 1 - tail), method="inverted_cdf"
    )
    return float(low), float(median), float(high)
