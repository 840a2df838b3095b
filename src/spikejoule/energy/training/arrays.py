"""The arrays of a training step, and the memories that hold them.

All words are 32-bit floating point, whatever the width of inference; a memory holds one
array. A layer of n neurons keeps potentials and deltas of T steps, for one sample if
samples run one after the other, for all B samples of a batch if they run together.

The weights of a connection share their memories (of values, of gradients, of Adam's two
moments, and of masks) with the biases and learned constants of the layer after it.
Recurrent weights have memories of their own. Pruned synapses keep their place.
"""

from dataclasses import dataclass

from spikejoule.energy.operations import Words
from spikejoule.network.network import Network
from spikejoule.network.quantisation import FLOAT_BITS


@dataclass(frozen=True)
class TrainedConnection:
    """A connection of a network, with the parameters that its memories hold.

    Attributes:
        name: name of the connection.
        layer: name of the layer after it.
        n_in: units whose spikes enter, after a pooling its windows.
        n_out: neurons of the layer after it.
        synapses: synapses of all units together; windows use stored weights repeatedly.
        weights: weights stored.
        biases, constants: biases and learned constants of the layer after it.
        is_recurrent: whether it connects a layer to itself.
        is_first: whether it reads the input, to which no delta passes back.
    """

    name: str
    layer: str
    n_in: int
    n_out: int
    synapses: int
    weights: int
    biases: int
    constants: int
    is_recurrent: bool
    is_first: bool

    @property
    def parameters(self) -> int:
        """Parameters that the optimizer updates."""
        return self.weights + self.biases + self.constants

    @property
    def weight_words(self) -> Words:
        """The memory of the parameters."""
        return Words(FLOAT_BITS, self.weights, FLOAT_BITS * self.parameters)

    @property
    def parameter_words(self) -> Words:
        """A memory with one word per parameter."""
        return Words(FLOAT_BITS, self.parameters)

    @property
    def moment_words(self) -> Words:
        """The memory of both moments."""
        return Words(FLOAT_BITS, 2 * self.parameters)


def trained_connections(network: Network) -> tuple[TrainedConnection, ...]:
    """List the connections of a network in its order."""
    constants = len(network.neuron.learned_names)
    connections = []
    for node, sender in zip(network.connections, network.senders, strict=True):
        is_recurrent = node not in network.forward_connections
        connections.append(
            TrainedConnection(
                name=node.name,
                layer=network.target_of(node).name,
                n_in=node.n_in,
                n_out=node.n_out,
                synapses=int(node.fan_out().sum()),
                weights=node.stored(),
                biases=network.bias_words(node),
                constants=0 if is_recurrent else constants,
                is_recurrent=is_recurrent,
                is_first=sender == 0,
            )
        )
    return tuple(connections)


def trace_words(n_units: int, n_steps: int, n_samples: int = 1) -> Words:
    """Return the memory of a layer's values in every step of some samples."""
    return Words(FLOAT_BITS, n_units * n_steps * n_samples)
