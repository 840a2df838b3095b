"""What a run of a foreign network gives: integer counts of each sample, and the output.

    spikes          that the units of a node give: input, neurons, Threshold, a Delay of spikes
    events          synaptic events of a node: a spike reaches a synapse, and its weight is added
    macs            multiply-accumulates of a node: a value that is no spike, and not zero, reaches
                    a synapse; so it is behind pooling, Scale, and neurons that give potentials
    additions       of pooling: an amount that is not zero is added to one window
    multiplications of AvgPool2d, once a sum that is not zero; of Scale, once a value that is
                    neither zero nor a spike
    values          that a node gives to those that multiply them, or that a Delay has held, if they
                    are neither zero nor spikes

A spike reaches recurrent weights in the step in which it is fired, and what they give arrives one
step later; those of the last step count, too. What a Delay still holds at the end reaches nothing.
What comes to neurons, a Threshold or the output without a synapse before it is added there,
uncounted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.plan import Plan

KINDS = ("spikes", "events", "macs", "additions", "multiplications", "values")

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GraphRun:
    """N samples that ran through a network for T steps.

    Attributes:
        plan: what was run.
        conventions: how.
        engine: ``event``, the kernels of the project's own networks, or ``graph``.
        n_steps: T.
        counts: by kind and node, int64 [N]; see the module. A node has what it can have.
        output: what the output received, summed over the steps: spikes of each unit, int64
            [N, n]; values, float64 [N, n].
        output_spikes: whether it received spikes alone.
        recorded: the spikes of the nodes that were asked for.
    """

    plan: Plan
    conventions: Conventions
    engine: str
    n_steps: int
    counts: Mapping[str, Mapping[str, Counts]]
    output: NDArray[np.int64] | NDArray[np.float64]
    output_spikes: bool
    recorded: Mapping[str, EventList] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.output)

    def of(self, kind: str, name: str) -> Counts:
        """Counts of a kind at a node, int64 [N]; zeros where it has none."""
        found = self.counts[kind].get(name)
        return np.zeros(self.n_samples, dtype=np.int64) if found is None else found

    def total(self, kind: str) -> Counts:
        """Counts of a kind at all nodes, int64 [N]."""
        return sum(self.counts[kind].values(), np.zeros(self.n_samples, dtype=np.int64))

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output with the most spikes, the first of equals, int64 [N]; None for values."""
        if not self.output_spikes:
            return None
        classes: NDArray[np.int64] = self.output.argmax(axis=1)
        return classes
