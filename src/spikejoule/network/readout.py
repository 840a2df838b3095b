"""How the output of a network answers: by its spikes, or by its potentials.

spikes          the class that spikes most often
potential       the class with the largest membrane potential in the last step
max_potential   the class whose membrane potential was the largest in any step

With the last two, the output integrates without spiking: no threshold, no reset, but
the leak of its neurons, ``v[t] = decay * v[t-1] + I[t]``. The potential of an integer
network saturates in every step. Among equal scores the first class wins.
"""

from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.encoding.counting import best_class, class_counts
from spikejoule.encoding.events import EventList
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire


class Readout(StrEnum):
    """What the output's scores are."""

    SPIKES = "spikes"
    POTENTIAL = "potential"
    MAX_POTENTIAL = "max_potential"

    @property
    def is_spiking(self) -> bool:
        """Whether the output spikes, and its spikes are the scores."""
        return self is Readout.SPIKES

    def unfit(self, neuron: Neuron) -> str:
        """Say why an output of these neurons cannot answer so; empty if it can."""
        if self.is_spiking or isinstance(neuron, LeakyIntegrateAndFire):
            return ""
        return (
            f"model.readout: {self.value!r} is not allowed with the neuron "
            f"{neuron.name!r}; allowed: 'spikes', or the neuron 'lif'"
        )

    def scores(self, output: EventList) -> NDArray[Any]:
        """The score of each class at the end, [N, O]: int64 spikes, or potentials."""
        if output.potentials is None:
            return class_counts(output)
        if self is Readout.POTENTIAL:
            return output.potentials[:, -1]
        largest: NDArray[Any] = output.potentials.max(axis=1)
        return largest

    def scores_by_step(self, output: EventList) -> NDArray[Any]:
        """The scores after each step, [N, T, O]: int32 spikes, or potentials."""
        if output.potentials is None:
            spikes = output.to_dense(np.int32)
            return np.cumsum(spikes, axis=1, dtype=np.int32)
        if self is Readout.POTENTIAL:
            return output.potentials
        largest: NDArray[Any] = np.maximum.accumulate(output.potentials, axis=1)
        return largest

    def predict(self, output: EventList) -> NDArray[np.int64]:
        """The class with the highest score, the first of equals, [N]."""
        return best_class(self.scores(output))


ReadoutName = Annotated[Readout, Field(strict=False)]
"""A readout as a field of a section or file, which holds its name."""


def readout_entry(readout: Readout) -> dict[str, str]:
    """The file entry of a readout; empty for spikes, as in the original notebook."""
    return {} if readout.is_spiking else {"readout": readout.value}
