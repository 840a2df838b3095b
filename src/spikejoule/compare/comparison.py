"""Ratios and verdicts between spiking and conventional networks of a ledger.

A verdict compares a spiking network with the Pareto front of conventional networks
(`front`) at its own validation accuracy. Test accuracy is reported and decides nothing.
A price list compares only networks of the width that its prices hold for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from spikejoule.compare.front import Bound, FrontPoint, FrontReading, read_front
from spikejoule.energy.estimates import Energy, interval, rounded
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    Ledger,
    Side,
    judges,
    may_judge,
)
from spikejoule.energy.prices import HardwareProfile

Outcome = Literal["snn", "ann", "undecided"]


@dataclass(frozen=True)
class RunVerdict:
    """A spiking network against the conventional front at its accuracy.

    Accuracies are in percent, energies in pJ per inference; both are means over test
    images.

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
        spiking, conventional: names of the networks. The conventional one is the
            cheapest on the front with at least this accuracy. `_pj` is None if prices
            are ranges; `_pj_low` and `_pj_high` are the ends of the mean by price range
            and interval. The conventional energy is that of the front at this accuracy,
            of the mixture of this network and its lower neighbour.
        conventional_below: the lower neighbour; empty at an end of the front.
        conventional_n_seeds: networks behind the means of `conventional`.
    """

    profile: str
    level_percent: float
    outcome: Outcome
    ratio: float | None
    ratio_low: float
    ratio_high: float
    ratio_bound: Bound
    spiking: str
    spiking_validation_percent: float | None
    spiking_test_percent: float | None
    spiking_pj_low: float
    spiking_pj: float | None
    spiking_pj_high: float
    conventional: str
    conventional_validation_percent: float | None
    conventional_test_percent: float | None
    conventional_pj_low: float
    conventional_pj: float | None
    conventional_pj_high: float
    conventional_below: str
    conventional_n_seeds: int

    def energy(self, side: Side) -> Energy:
        """Return the energy of a side."""
        return Energy(
            *(getattr(self, f"{side}_pj{end}") for end in ("_low", "", "_high"))
        )

    @property
    def values(self) -> dict[str, Any]:
        """The fields, with ratios and energies rounded to what machines agree on."""
        return {
            name: rounded(cell, 8) if "pj" in name or "ratio" in name else cell
            for name, cell in asdict(self).items()
        }


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
        name=variant.name,
        validation_percent=variant.validation_percent or 0.0,
        test_percent=variant.test_percent or 0.0,
        n_seeds=1,
        mean_pj=ledger.means(number, profile),
        drawn_pj=ledger.resampled_energies(number, profile),
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
) -> Iterator[RunVerdict]:
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
) -> Iterator[RunVerdict]:
    """Compare a network with others of any accuracy, under every list for both."""
    for profile in ledger.profiles:
        for number in conventional:
            pair = ledger.variants[spiking], ledger.variants[number]
            if all(judges(profile, variant) for variant in pair):
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
) -> RunVerdict:
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
    return RunVerdict(
        profile=profile,
        level_percent=level_percent,
        outcome=outcome_of(float(low), float(high), bound),
        ratio=None if np.isnan(ratio) else ratio,
        ratio_low=float(low),
        ratio_high=float(high),
        ratio_bound=bound,
        conventional_below="" if reading.below is None else reading.below.name,
        conventional_n_seeds=above.n_seeds,
        **side_cells(SPIKING, network, ledger.total(spiking, profile)),
        **side_cells(CONVENTIONAL, above, conventional),
    )


def side_cells(side: Side, network: Any, energy: Energy) -> dict[str, Any]:
    """Return the fields of `RunVerdict` for one side.

    Args:
        side: spiking or conventional.
        network: a variant or a front point, which has a name and accuracies.
        energy: energy of an inference.
    """
    return {
        side: network.name,
        f"{side}_validation_percent": network.validation_percent,
        f"{side}_test_percent": network.test_percent,
        f"{side}_pj_low": energy.lowest_pj,
        f"{side}_pj": energy.value_pj,
        f"{side}_pj_high": energy.highest_pj,
    }
