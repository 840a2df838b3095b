"""The joules of a recorded training, in both ways of running it.

by events   only spikes and values other than zero are multiplied: the range over
            the dataflows of `TRAINING_RANGE`
dense       every product is computed, a batch at a time, as PyTorch does
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.training import TrainingRecord
from spikejoule.energy.dataflow import DENSE, TRAINING_RANGE, Dataflow
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.energy.operations import (
    BACKWARD,
    FORWARD,
    OPTIMIZER,
    TRAINING,
    OperationCounts,
)
from spikejoule.energy.prices import HardwareProfile, prices_pj
from spikejoule.energy.training.counting import count_training

Way = Literal["by events", "dense"]
WAYS: Final[dict[Way, tuple[Dataflow, ...]]] = {
    "by events": TRAINING_RANGE,
    "dense": (DENSE,),
}
COUNTED: Final = (FORWARD, BACKWARD, OPTIMIZER)
"""The phases of a training in the user's own loop: its data is the user's."""


class Range(NamedTuple):
    """Joules at the low and the high end, over dataflows and prices."""

    low_j: float
    high_j: float


@dataclass(frozen=True)
class Share:
    """The energy of a term at a place, in one epoch.

    Attributes:
        epoch: from 1.
        way: of running the training; the first of its dataflows.
        phase, place, term: what it is, as in `energy.operations.Column`.
        count: operations.
        low_pj, high_pj: at both ends of the price; NaN without a price.
    """

    epoch: int
    way: Way
    phase: str
    place: str
    term: str
    count: int
    low_pj: float
    high_pj: float


@dataclass(frozen=True, eq=False)
class TrainingEnergies:
    """The energy of a training under a price list.

    Attributes:
        record: the training, E epochs.
        prices: the price list.
    """

    record: TrainingRecord
    prices: HardwareProfile

    @cached_property
    def counted(self) -> dict[Way, list[OperationCounts]]:
        """The operations of each epoch, in each dataflow of a way."""
        return {
            way: [count_training(self.record, flow, COUNTED) for flow in dataflows]
            for way, dataflows in WAYS.items()
        }

    def by_epoch(self, way: Way, phase: str = TRAINING) -> NDArray[np.float64]:
        """Return the joules of each epoch at both ends, [2, E].

        Args:
            way: of running the training.
            phase: ``forward``, ``backward``, ``optimizer``, or ``training`` for all.
        """
        ends = np.stack([self._ends_pj(one, phase) for one in self.counted[way]])
        return np.stack([ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)]) / PJ_PER_J

    def total(self, way: Way, phase: str = TRAINING) -> Range:
        """Return the joules of all epochs; arguments as for `by_epoch`."""
        ends = np.stack([self._ends_pj(one, phase) for one in self.counted[way]])
        low_pj, high_pj = ends.sum(axis=2).T
        return Range(float(low_pj.min()) / PJ_PER_J, float(high_pj.max()) / PJ_PER_J)

    def so_far(self, way: Way) -> NDArray[np.float64]:
        """Return the joules up to each epoch at both ends, [2, E]."""
        sums: NDArray[np.float64] = np.cumsum(self.by_epoch(way), axis=1)
        return sums

    def _ends_pj(self, counted: OperationCounts, phase: str) -> NDArray[np.float64]:
        """Return the pJ of each epoch at low and high prices, [2, E]."""
        in_phase = [phase in (TRAINING, column.phase) for column in counted.columns]
        low_pj, _, high_pj = np.nan_to_num(prices_pj(counted.columns, self.prices))
        ends = np.stack([low_pj, high_pj])[:, in_phase]
        pj: NDArray[np.float64] = ends @ counted.counts[:, in_phase].T
        return pj

    def by_place(self, way: Way) -> dict[str, dict[str, float]]:
        """Return the pJ of each phase at each place, at the high end of prices.

        Of all epochs, in the first dataflow of a way.
        """
        places: dict[str, dict[str, float]] = {}
        for share in self.shares(way):
            by_phase = places.setdefault(share.place, {})
            high_pj = 0.0 if np.isnan(share.high_pj) else share.high_pj
            by_phase[share.phase] = by_phase.get(share.phase, 0.0) + high_pj
        return places

    def shares(self, way: Way) -> Iterator[Share]:
        """Yield every term at every place in every epoch, of the first dataflow."""
        counted = self.counted[way][0]
        low_pj, _, high_pj = prices_pj(counted.columns, self.prices)
        for number, counts in enumerate(counted.counts, start=1):
            for column, count, low, high in zip(
                counted.columns, counts.tolist(), low_pj, high_pj, strict=True
            ):
                yield Share(
                    epoch=number,
                    way=way,
                    phase=column.phase,
                    place=column.place,
                    term=column.term,
                    count=count,
                    low_pj=count * float(low),
                    high_pj=count * float(high),
                )
