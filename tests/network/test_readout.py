"""Readouts against loops over samples, steps and classes."""

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.network.network import Network
from spikejoule.network.neuron import Neuron
from spikejoule.network.readout import Readout


def test_scores_are_those_of_loops() -> None:
    generator = np.random.default_rng(3)
    # Few values, so that classes and steps are often equal.
    potentials = generator.integers(-2, 3, (7, 5, 4)).astype(float)
    spikes = generator.integers(0, 2, (7, 5, 4))
    outputs = {
        Readout.SPIKES: EventList.from_dense(spikes),
        Readout.POTENTIAL: EventList.of_potentials(potentials),
        Readout.MAX_POTENTIAL: EventList.of_potentials(potentials),
    }
    for readout, output in outputs.items():
        by_step = readout.scores_by_step(output)
        for n in range(7):
            for step in range(1, 6):
                values = spikes[n, :step].tolist()
                if not readout.is_spiking:
                    values = potentials[n, :step].tolist()
                columns = list(zip(*values, strict=True))
                expected = {
                    Readout.SPIKES: [sum(column) for column in columns],
                    Readout.POTENTIAL: [column[-1] for column in columns],
                    Readout.MAX_POTENTIAL: [max(column) for column in columns],
                }[readout]
                assert by_step[n, step - 1].tolist() == expected
            assert readout.scores(output)[n].tolist() == expected
            assert readout.predict(output)[n] == expected.index(max(expected))
        few = output.select(np.array([4, 1]))
        assert np.array_equal(readout.scores(few), readout.scores(output)[[4, 1]])


class Other(Neuron):
    """A neuron without a kernel of its own."""

    def step(self, membrane, current, fire):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def test_other_neurons_are_refused() -> None:
    network = Network.of_layers(3, (2,), 2, Other())
    with pytest.raises(ParameterError, match="'max_potential' is not allowed with"):
        network.with_readout(Readout.MAX_POTENTIAL)
    assert network.with_readout(Readout.SPIKES) == network
