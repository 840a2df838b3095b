"""Two sides: a spiking network beside conventional ones, and who needs less energy.

A verdict compares a spiking network with the Pareto front of conventional networks
(`front`) at its own validation accuracy. Test accuracy is reported and decides nothing.
A price list compares only networks of the width that its prices hold for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spikejoule.compare.front import Bound, Side, read_front
from spikejoule.energy.estimates import Energy, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, Ledger
from spikejoule.energy.prices import HardwareProfile

Outcome = Literal["snn", "ann", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """A spiking network against a conventional one, or their front at its accuracy.

    Attributes:
        profile: id of the price list.
        level_percent: validation accuracy at which the front is read; 0 for networks of
            equal size, whatever their accuracy.
        outcome: ``snn`` or ``ann``, the side that needs less energy at both ends of the
            ratio; else ``undecided``.
        ratio: energy of the spiking network over the other; None if prices are ranges.
            `ratio_low` and `ratio_high` are the ends of the interval of paired
            resamples, widened by price ranges.
        ratio_bound: empty if the front has this accuracy. ``at least`` if it starts
            above, ``at most`` if it ends below: the ratio to that end is a bound.
        spiking: the spiking network.
        conventional: the cheapest network on the front with at least this accuracy, or
            its mixture with the lower neighbour.
    """

    profile: str
    level_percent: float
    outcome: Outcome
    ratio: float | None
    ratio_low: float
    ratio_high: float
    ratio_bound: Bound
    spiking: Side
    conventional: Side


def outcome_of(low: float, high: float, bound: Bound = "") -> Outcome:
    """Decide who wins from the ends of a ratio; one that rounds to 1 decides nothing.

    For a lower bound only the low end counts, for an upper bound only the high end.
    """
    if bound != "at least" and rounded(high, 8) < 1:
        return "snn"
    if bound != "at most" and rounded(low, 8) > 1:
        return "ann"
    return "undecided"


Reader = Callable[[Sequence[Side], float], Side | None]


def side_of(ledger: Ledger, number: int, profile: str) -> Side:
    """Return a network of the ledger under a price list, with its resamples."""
    variant = ledger.variants[number]
    return Side(
        network=variant.network,
        method=variant.method,
        validation_percent=variant.validation_percent,
        test_percent=variant.test_percent,
        energy=Energy.of(ledger.means(number, profile)),
        drawn_pj=ledger.resampled_energies(number, profile),
        lazy=variant.lazy,
        position=number,
    )


def own_points(ledger: Ledger, profile: HardwareProfile) -> list[Side]:
    """Return the ledger's conventional networks that a price list may judge.

    Networks of unknown accuracy are left out.
    """
    return [
        side_of(ledger, number, profile.id)
        for number, variant in enumerate(ledger.variants)
        if variant.side == CONVENTIONAL
        and variant.validation_percent is not None
        and profile.judges(variant.weight_bits, variant.operations)
    ]


def front_verdicts(
    ledger: Ledger,
    spiking: int,
    level_percent: float,
    published: Mapping[str, Sequence[Side]],
    read: Reader = read_front,
) -> Iterator[Comparison]:
    """Compare a spiking network with conventional ones, under every price list.

    Args:
        ledger: networks of both sides.
        spiking: number of the spiking network.
        level_percent: validation accuracy of the comparison.
        published: published conventional networks by price list; where there are none,
            those of the ledger are used.
        read: how to choose among them: `read_front` or `cheapest_reaching`.
    """
    own = ledger.variants[spiking]
    for profile in ledger.profiles:
        if not profile.judges(own.weight_bits, own.operations):
            continue
        points = published.get(profile.id) or own_points(ledger, profile)
        conventional = read(points, level_percent)
        if conventional is not None:
            yield compare(ledger, spiking, profile.id, conventional, level_percent)


def pair_verdicts(
    ledger: Ledger, spiking: int, conventional: Sequence[int]
) -> Iterator[Comparison]:
    """Compare a network with others of any accuracy, under every list for both."""
    for profile in ledger.profiles:
        for number in conventional:
            pair = ledger.variants[spiking], ledger.variants[number]
            if all(profile.compares(one.weight_bits, one.operations) for one in pair):
                other = side_of(ledger, number, profile.id)
                yield compare(ledger, spiking, profile.id, other, level_percent=0.0)


# A bound of the denominator is the opposite bound of the ratio.
_RATIO_BOUND: Mapping[Bound, Bound] = {
    "": "",
    "at least": "at most",
    "at most": "at least",
}


def compare(
    ledger: Ledger,
    spiking: int,
    profile: str,
    conventional: Side,
    level_percent: float,
) -> Comparison:
    """Compare a spiking network of the ledger with a conventional side."""
    own = side_of(ledger, spiking, profile)
    confidence = ledger.settings.confidence
    low, high = interval(
        own.drawn_pj[0] / conventional.drawn_pj[2],
        own.drawn_pj[2] / conventional.drawn_pj[0],
        confidence,
    )
    ratio = float(own.means_pj[1] / conventional.means_pj[1])
    bound = _RATIO_BOUND[conventional.bound]
    return Comparison(
        profile=profile,
        level_percent=level_percent,
        outcome=outcome_of(float(low), float(high), bound),
        ratio=None if np.isnan(ratio) else ratio,
        ratio_low=float(low),
        ratio_high=float(high),
        ratio_bound=bound,
        spiking=_within_interval(own, confidence),
        conventional=_within_interval(conventional, confidence),
    )


def _within_interval(side: Side, confidence: float) -> Side:
    """Return a side with the ends of the interval as those of its energy."""
    least_pj, most_pj = interval(side.drawn_pj[0], side.drawn_pj[2], confidence)
    energy = Energy(float(least_pj), side.energy.value_pj, float(most_pj))
    return replace(side, energy=energy)
