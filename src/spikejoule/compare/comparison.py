"""Two sides: a spiking network beside conventional ones, and who needs less energy.

A verdict compares a spiking network with the Pareto front of conventional networks
(`front`) at its own validation accuracy. Test accuracy is reported and decides nothing.
A price list compares only networks of the width that its prices hold for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikejoule.compare.front import Bound, FrontPoint, FrontReading, read_front
from spikejoule.energy.estimates import Energy, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, Ledger, is_comparable, may_judge
from spikejoule.energy.prices import HardwareProfile

Outcome = Literal["snn", "ann", "undecided"]


@dataclass(frozen=True)
class Side:
    """A network of a comparison, under one price list.

    Attributes:
        network: its name.
        way: how it is run.
        validation_percent, test_percent: its accuracies; None if unknown.
        energy: pJ of an inference, mean over test images: the ends by price range and
            interval, and the value, None if prices are ranges. A conventional energy is
            that of the front at the accuracy of the comparison: of the mixture of this
            network and its lower neighbour.
        n_seeds: networks behind these means.
        position: as in `FrontPoint`.
    """

    network: str
    way: str
    validation_percent: float | None
    test_percent: float | None
    energy: Energy
    n_seeds: int = 1
    position: int | None = None

    @property
    def name(self) -> str:
        """The network, and how it is run."""
        return f"{self.network}, {self.way}"


@dataclass(frozen=True)
class Comparison:
    """A spiking network against the conventional front at its accuracy.

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
        conventional: the cheapest network on the front with at least this accuracy.
        below: its lower neighbour on the front; None at an end of the front.
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
    below: FrontPoint | None


def outcome_of(low: float, high: float, bound: Bound = "") -> Outcome:
    """Decide who wins from the ends of a ratio; one that rounds to 1 decides nothing.

    For a lower bound only the low end counts, for an upper bound only the high end.
    """
    if bound != "at least" and rounded(high, 8) < 1:
        return "snn"
    if bound != "at most" and rounded(low, 8) > 1:
        return "ann"
    return "undecided"


Reader = Callable[[Sequence[FrontPoint], float], FrontReading | None]


def variant_point(ledger: Ledger, number: int, profile: str) -> FrontPoint:
    """Return a network of the ledger under a price list, with its resamples."""
    variant = ledger.variants[number]
    return FrontPoint(
        network=variant.network,
        way=variant.way,
        validation_percent=variant.validation_percent or 0.0,
        test_percent=variant.test_percent or 0.0,
        n_seeds=1,
        mean_pj=ledger.means(number, profile),
        drawn_pj=ledger.resampled_energies(number, profile),
        position=number,
    )


def own_points(ledger: Ledger, profile: HardwareProfile) -> list[FrontPoint]:
    """Return the ledger's conventional networks that a price list may judge.

    Networks of unknown accuracy are left out.
    """
    return [
        variant_point(ledger, number, profile.id)
        for number, variant in enumerate(ledger.variants)
        if variant.side == CONVENTIONAL
        and variant.validation_percent is not None
        and may_judge(profile, variant)
    ]


def front_verdicts(
    ledger: Ledger,
    spiking: int,
    level_percent: float,
    published: Mapping[str, Sequence[FrontPoint]],
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
    for profile in ledger.profiles:
        if not may_judge(profile, ledger.variants[spiking]):
            continue
        points = published.get(profile.id) or own_points(ledger, profile)
        reading = read(points, level_percent)
        if reading is not None:
            yield compare(ledger, spiking, profile.id, reading, level_percent)


def pair_verdicts(
    ledger: Ledger, spiking: int, conventional: Sequence[int]
) -> Iterator[Comparison]:
    """Compare a network with others of any accuracy, under every list for both."""
    for profile in ledger.profiles:
        for number in conventional:
            pair = ledger.variants[spiking], ledger.variants[number]
            if all(is_comparable(profile, variant) for variant in pair):
                reading = FrontReading(variant_point(ledger, number, profile.id))
                yield compare(ledger, spiking, profile.id, reading, level_percent=0.0)


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
    reading: FrontReading,
    level_percent: float,
) -> Comparison:
    """Compare a spiking network of the ledger with a reading of the front."""
    network = ledger.variants[spiking]
    above = reading.above
    confidence = ledger.settings.confidence
    spiking_pj = ledger.resampled_energies(spiking, profile)
    conventional_pj = reading.drawn_pj
    low, high = interval(
        spiking_pj[0] / conventional_pj[2],
        spiking_pj[2] / conventional_pj[0],
        confidence,
    )
    ratio = float(ledger.means(spiking, profile)[1] / reading.mean_pj[1])
    bound = _RATIO_BOUND[reading.bound]
    least_pj, most_pj = interval(conventional_pj[0], conventional_pj[2], confidence)
    conventional = Energy.of([*reading.mean_pj, np.nan, least_pj, most_pj])
    return Comparison(
        profile=profile,
        level_percent=level_percent,
        outcome=outcome_of(float(low), float(high), bound),
        ratio=None if np.isnan(ratio) else ratio,
        ratio_low=float(low),
        ratio_high=float(high),
        ratio_bound=bound,
        spiking=Side(
            network=network.network,
            way=network.way,
            validation_percent=network.validation_percent,
            test_percent=network.test_percent,
            energy=_ends(ledger.total(spiking, profile)),
            position=spiking,
        ),
        conventional=Side(
            network=above.network,
            way=above.way,
            validation_percent=above.validation_percent,
            test_percent=above.test_percent,
            energy=_ends(conventional),
            n_seeds=above.n_seeds,
            position=above.position,
        ),
        below=reading.below,
    )


def _ends(energy: Energy) -> Energy:
    """Keep the ends of the interval as those of the energy."""
    return Energy(energy.lowest_pj, energy.value_pj, energy.highest_pj)
