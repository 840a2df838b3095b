"""The Pareto front of conventional networks: lowest energy against accuracy.

A network is on the front if no cheaper one is as accurate on validation images. Between
neighbours the front is their mixture: each image goes to one of them at random, so mean
energy and mean accuracy are both on the straight line (the chord). Beyond an end the
energy is unknown, and that end is a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spikejoule.energy.estimates import Energy, Floats
from spikejoule.evaluation.accuracy import pareto_front

Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True, eq=False)
class FrontPoint:
    """A conventional network under one price list.

    Attributes:
        network, way: its name, and how it is run.
        validation_percent, test_percent: accuracies, means over its seeds.
        n_seeds: networks behind these means.
        mean_pj: energy per inference at low, value and high prices, [3]; the value is
            NaN if a price is a range.
        drawn_pj: the same in B resamples of the test images, [3, B]; [3, 1] without
            resamples.
        position: of the network in the run's ledger; None for published networks. Two
            networks may have the same name.
    """

    network: str
    way: str
    validation_percent: float
    test_percent: float
    n_seeds: int
    mean_pj: Floats
    drawn_pj: Floats
    position: int | None = None

    @property
    def name(self) -> str:
        """The network, and how it is run."""
        return f"{self.network}, {self.way}"

    @property
    def middle_pj(self) -> float:
        """The energy that orders networks (`Energy.middle_pj`)."""
        return Energy.of(self.mean_pj).middle_pj


@dataclass(frozen=True, eq=False)
class FrontReading:
    """A front, read at an accuracy.

    Attributes:
        above: the cheapest network of at least this accuracy; beyond the upper end of
            the front, its most accurate network.
        below: the next cheaper network; None at an end of the front.
        share: fraction of the images that go to `above` in the mixture of this
            accuracy; the others go to `below`.
        bound: empty on the front. If the front starts above the accuracy, the energy
            is ``at most`` that of `above`; if it ends below, ``at least``.
    """

    above: FrontPoint
    below: FrontPoint | None = None
    share: float = 1.0
    bound: Bound = ""

    @property
    def mean_pj(self) -> Floats:
        """Energy per inference at this accuracy, [3]."""
        if self.below is None:
            return self.above.mean_pj
        return self._between(self.below.mean_pj, self.above.mean_pj)

    @property
    def drawn_pj(self) -> Floats:
        """The same in each resample, [3, B]."""
        if self.below is None:
            return self.above.drawn_pj
        return self._between(self.below.drawn_pj, self.above.drawn_pj)

    def _between(self, below_pj: Floats, above_pj: Floats) -> Floats:
        energy: Floats = (1 - self.share) * below_pj + self.share * above_pj
        return energy


def front_of(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Return the points on the front, cheapest and least accurate first."""
    ordered = sorted(
        points, key=lambda point: (point.middle_pj, -point.validation_percent)
    )
    is_on_front = pareto_front(
        [point.middle_pj for point in ordered],
        [point.validation_percent for point in ordered],
    )
    return [point for point, is_on in zip(ordered, is_on_front, strict=True) if is_on]


def read_front(
    points: Sequence[FrontPoint], level_percent: float
) -> FrontReading | None:
    """Read the front at a validation accuracy; None without networks."""
    front = front_of(points)
    if not front:
        return None
    first = front[0]
    last = front[-1]
    if level_percent < first.validation_percent:
        return FrontReading(first, bound="at most")
    if level_percent > last.validation_percent:
        return FrontReading(last, bound="at least")
    above = next(point for point in front if point.validation_percent >= level_percent)
    if above.validation_percent == level_percent:
        return FrontReading(above)
    below = front[front.index(above) - 1]
    gap = above.validation_percent - below.validation_percent
    return FrontReading(above, below, (level_percent - below.validation_percent) / gap)


def cheapest_reaching(
    points: Sequence[FrontPoint], level_percent: float
) -> FrontReading | None:
    """Return the cheapest network that reaches an accuracy; None if none does."""
    reaching = [point for point in points if point.validation_percent >= level_percent]
    if not reaching:
        return None
    return FrontReading(min(reaching, key=lambda point: point.middle_pj))
