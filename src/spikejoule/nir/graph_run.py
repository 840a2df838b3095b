"""The result of running a graph on samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.encoding.counting import clear_class
from spikejoule.encoding.events import EventList
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.readout import Readout
from spikejoule.nir.conventions import Conventions

Events = Mapping[str, EventList]
"""Spikes of all samples by the name of a node."""


class Outcome(NamedTuple):
    """What some samples did.

    Attributes:
        counts: of each node.
        output, recorded: see `GraphRun`.
    """

    counts: dict[str, NodeCounts]
    output: NDArray[Any]
    recorded: Events


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphRun(Activity):
    """N samples that ran through a graph for T steps.

    Attributes:
        conventions: how it ran.
        engine: ``event`` where the event engine ran it, else ``graph``.
        output: what the output received, summed over the steps: spikes of each unit,
            int64 [N, n], or values, float64 [N, n]; with a readout, the potentials that
            it reads, float64 [N, n].
        recorded: the spikes of nodes that were asked for.
    """

    network: ImportedGraph
    conventions: Conventions
    engine: str
    output: NDArray[np.int64] | NDArray[np.float64]
    recorded: Events

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output unit with the highest score, int64 [N]; None without scores.

        Scores are spikes, or the potentials of a readout.
        """
        if self.network.answer is None and self.potentials_read is None:
            return None
        return clear_class(self.output)

    @property
    def potentials_read(self) -> Readout | None:
        """See `Activity.potentials_read`."""
        readout = self.conventions.readout
        return None if readout is None else Readout(readout)
