"""The Pareto front of conventional networks: what the cheapest needs for an accuracy.

A network is on the front if no cheaper one is as accurate on validation images. Between
two neighbours the front is a straight line of log energy against validation accuracy,
so that a small change of accuracy changes the energy a little. Beyond its ends the
energy is not known: the end itself is then a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikejoule.energy.estimates import Energy, Floats
from spikejoule.evaluation.accuracy import pareto_front

Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True, eq=False)
class FrontPoint:
    """A conventional network under one price list.

    Attributes:
        name: what it is and how it is run.
        validation_percent, test_percent: accuracies; means over its seeds.
        n_seeds: networks behind these means.
        mean_pj: energy per inference under lower ends, values and upper ends of the
            prices (NaN values: ranges only), [3].
        drawn_pj: the same in B resamples of the test images, [3, B]; [3, 1] without.
    """

    name: str
    validation_percent: float
    test_percent: float
    n_seeds: int
    mean_pj: Floats
    drawn_pj: Floats

    @property
    def middle_pj(self) -> float:
        """The energy by which networks are ordered (`Energy.middle_pj`)."""
        return Energy.of(self.mean_pj).middle_pj


@dataclass(frozen=True, eq=False)
class FrontReading:
    """A front, read at an accuracy.

    Attributes:
        above: the cheapest network that is at least so accurate; beyond the upper end
            of the front its most accurate network.
        below: the next cheaper one; None at an end of the front.
        share: how far the accuracy lies from `below` to `above`, 0 to 1.
        bound: of the energy at the accuracy: empty on the front, ``at most`` what
            `above` needs where the front begins above the accuracy, ``at least`` that
            where it ends below.
    """

    above: FrontPoint
    below: FrontPoint | None = None
    share: float = 1.0
    bound: Bound = ""

    @property
    def mean_pj(self) -> Floats:
        """Energy per inference at the accuracy, [3]."""
        if self.below is None:
            return self.above.mean_pj
        return self._between(self.below.mean_pj, self.above.mean_pj)

    @property
    def drawn_pj(self) -> Floats:
        """The same in every resample, [3, B]."""
        if self.below is None:
            return self.above.drawn_pj
        return self._between(self.below.drawn_pj, self.above.drawn_pj)

    def _between(self, below_pj: Floats, above_pj: Floats) -> Floats:
        logarithm = (1 - self.share) * np.log(below_pj) + self.share * np.log(above_pj)
        energy: Floats = np.exp(logarithm)
        return energy


def front_of(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """The points on the front, from the cheapest and least accurate on."""
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
    """The front of some networks at a validation accuracy; None without networks."""
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
    """The cheapest of some networks that reach an accuracy, itself; None if none
    does.
    """
    reaching = [point for point in points if point.validation_percent >= level_percent]
    if not reaching:
        return None
    return FrontReading(min(reaching, key=lambda point: point.middle_pj))
