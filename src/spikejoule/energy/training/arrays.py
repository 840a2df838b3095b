"""The arrays of a training, and the memories that hold them.

All words are 32-bit floating point, whatever the width of inference; a memory holds one
array. A layer of n units keeps potentials and deltas of T steps, for one sample if
samples run one after the other, for all B samples of a batch if they run together.

The weights of a connection share their memories (of values, of gradients, of Adam's two
moments, and of masks) with the biases and learned constants of the layer after it,
unless the dataflow gives biases a memory of their own. Recurrent weights have memories
of their own. Pruned synapses keep their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.dataflow import Dataflow
from spikejoule.energy.operations import OperationCounts, Words
from spikejoule.energy.training.record import TrainedNetwork
from spikejoule.network.network import Network
from spikejoule.network.quantisation import FLOAT_BITS

Counts = NDArray[np.int64]
Blocks = Iterator[OperationCounts]


@dataclass(frozen=True)
class Parameters:
    """Parameters that share their memories.

    Attributes:
        place: where they are counted: a connection, or a layer.
        count: number of parameters.
        stored: words of the memory that holds them.
    """

    place: str
    count: int
    stored: int

    @property
    def words(self) -> Words:
        """A memory with one word per parameter: gradients, masks."""
        return Words(FLOAT_BITS, self.stored)

    @property
    def values(self) -> Words:
        """The memory of the parameters themselves."""
        return Words(FLOAT_BITS, self.count, FLOAT_BITS * self.stored)

    @property
    def moments(self) -> Words:
        """The memory of both moments."""
        return Words(FLOAT_BITS, 2 * self.stored)


@dataclass(frozen=True)
class TrainedConnection:
    """A connection of a network, with the parameters that belong to it.

    Attributes:
        number: its position.
        name: name of the connection.
        sender: the layer whose spikes or values enter.
        layer: name of the layer after it.
        n_in: units that enter, after a pooling its windows.
        n_out: units of the layer after it.
        synapses: synapses of all units together; windows use stored weights repeatedly.
        weights: the weights stored.
        others: biases and learned constants of the layer after it.
        n_biases: how many of them are biases.
        is_recurrent: whether it connects a layer to itself.
        is_first: whether it reads the input, to which no delta passes back.
    """

    number: int
    name: str
    sender: str
    layer: str
    n_in: int
    n_out: int
    synapses: int
    weights: Parameters
    others: Parameters
    n_biases: int
    is_recurrent: bool
    is_first: bool


def trained_connections(
    network: TrainedNetwork, dataflow: Dataflow
) -> tuple[TrainedConnection, ...]:
    """List the connections of a network in its order."""
    constants = 0
    if isinstance(network, Network):
        constants = len(network.neuron.learned_names)
    connections = []
    for number, node in enumerate(network.connections):
        (sender,) = network.senders_of(node)
        layer = network.target_of(node).name
        is_recurrent = sender == layer
        n_weights = node.stored()
        n_biases = network.bias_words(node)
        n_others = n_biases + (0 if is_recurrent else constants)
        is_joined = dataflow.biases == "weights"
        stored = n_weights + n_others
        connections.append(
            TrainedConnection(
                number=number,
                name=node.name,
                sender=sender,
                layer=layer,
                n_in=node.n_in,
                n_out=node.n_out,
                synapses=int(node.fan_out().sum()),
                weights=Parameters(
                    node.name, n_weights, stored if is_joined else n_weights
                ),
                others=Parameters(layer, n_others, stored if is_joined else n_others),
                n_biases=n_biases,
                is_recurrent=is_recurrent,
                is_first=sender == network.input.name,
            )
        )
    return tuple(connections)


def trace_words(n_units: int, n_steps: int, n_samples: int = 1) -> Words:
    """Return the memory of a layer's values in every step of some samples."""
    return Words(FLOAT_BITS, n_units * n_steps * n_samples)
