"""The Pareto front of conventional networks: lowest energy against accuracy.

A network is on the front if no cheaper one is as accurate on validation images. Between
neighbours the front is their mixture: each image goes to one of them at random, so mean
energy and mean accuracy are both on the straight line (the chord). Beyond an end the
energy is unknown, and that end is a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from spikejoule.energy.estimates import Energy, Floats

Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True)
class Side:
    """A side of a comparison under one price list: a network, or a mixture of two.

    Attributes:
        network: its name; empty for the analysed spiking network.
        method: how it is run.
        validation_percent, test_percent: its accuracies, means over its seeds; None if
            unknown.
        energy: pJ of an inference, mean over test images; of a mixture with `below`,
            that of the mixture. In a comparison, its ends include the interval.
        drawn_pj: the same at low, value and high prices in B resamples of the test
            images, [3, B]; [3, 1] without resamples.
        lazy: whether neurons are updated only when needed.
        n_seeds: networks behind these means.
        position: of the network in the run's ledger; None for published networks. Two
            networks may have the same name.
        below: the lower neighbour on the front, of a mixture with the accuracy of the
            comparison; None of a single network.
        bound: empty for a network or mixture of that accuracy. If the front starts
            above, its energy is ``at most`` this; if it ends below, ``at least``.
    """

    network: str
    method: str
    validation_percent: float | None
    test_percent: float | None
    energy: Energy
    drawn_pj: Floats = field(compare=False, repr=False)
    lazy: bool = False
    n_seeds: int = 1
    position: int | None = None
    below: "Side | None" = None
    bound: Bound = ""

    @property
    def percent(self) -> float:
        """The validation accuracy; 0 if unknown."""
        return self.validation_percent or 0.0

    @property
    def means_pj(self) -> Floats:
        """The mean energy at low, value and high prices, [3]; NaN for no value."""
        return np.array(self.energy.numbers[:3])

    def mixed_with(self, below: "Side", level_percent: float) -> "Side":
        """Return the mixture with a lower neighbour that has some accuracy."""
        share = (level_percent - below.percent) / (self.percent - below.percent)
        means_pj = (1 - share) * below.means_pj + share * self.means_pj
        return replace(
            self,
            energy=Energy.of(means_pj),
            drawn_pj=(1 - share) * below.drawn_pj + share * self.drawn_pj,
            below=below,
        )


def front_of(points: Sequence[Side]) -> list[Side]:
    """Return the networks on the front, cheapest and least accurate first."""
    ordered = sorted(points, key=lambda point: (point.energy.middle_pj, -point.percent))
    is_on_front = pareto_front(
        [point.energy.middle_pj for point in ordered],
        [point.percent for point in ordered],
    )
    return [point for point, is_on in zip(ordered, is_on_front, strict=True) if is_on]


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> tuple[bool, ...]:
    """Return which points are Pareto-optimal: low cost, high gain.

    Equal points are on the front together. Takes O(N log N).
    """
    cost = np.asarray(costs, dtype=np.float64)
    gain = np.asarray(gains, dtype=np.float64)
    order = np.lexsort((-gain, cost))
    best = np.maximum.accumulate(gain[order])
    cheapest = cost[order][np.searchsorted(best, best)]
    on_front = np.empty(len(order), dtype=bool)
    on_front[order] = (gain[order] == best) & (cost[order] == cheapest)
    return tuple(on_front.tolist())


def read_front(points: Sequence[Side], level_percent: float) -> Side | None:
    """Read the front at a validation accuracy; None without networks."""
    front = front_of(points)
    if not front:
        return None
    first = front[0]
    last = front[-1]
    if level_percent < first.percent:
        return replace(first, bound="at most")
    if level_percent > last.percent:
        return replace(last, bound="at least")
    above = next(point for point in front if point.percent >= level_percent)
    if above.percent == level_percent:
        return above
    return above.mixed_with(front[front.index(above) - 1], level_percent)


def cheapest_reaching(points: Sequence[Side], level_percent: float) -> Side | None:
    """Return the cheapest network that reaches an accuracy; None if none does."""
    reaching = [point for point in points if point.percent >= level_percent]
    return min(reaching, key=lambda point: point.energy.middle_pj, default=None)
