"""Other tools' energy estimators, as formulas of a network's counts.

For one image and one layer of n_o neurons with n_i inputs, S_i spikes in and S_o spikes
out in T steps, D = S_i n_o are the synaptic events, including those of zero weights: no
estimator leaves them out.

No estimator distinguishes a reset to zero from one by subtraction. Each function lists
an estimator's items in pJ; the energy of a network is the sum over its layers. Sources:

* SpikingJelly 2.0.0, ``activation_based/op_counter/analytical_energy.py``, after
  Lemaire et al. 2022, arXiv:2210.13107. One image a call: its memories grow with the
  batch.
* qualia-plugin-snn 2.6.0, ``postprocessing/EnergyEstimationMetric.py``, by co-authors
  of the same paper, with ``mem_width=32``.
* spyx, ``research/new/honest_energy_accounting/honest_energy.py`` at commit 87a7730,
  which is not in its package 1.0.0. Its constants are those of Yan, Bai and Wong 2024,
  arXiv:2409.08290.

``test_estimators.py`` compares SpikingJelly's with the tool itself,
``test_agreement.py`` all that were seen elsewhere. qualia's equalled the tool's up to
commit 4334536, which still has the test.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import truediv

# Energy in pJ by item.
Items = dict[str, float]

# Integers of 32 bits at 45 nm (Horowitz, ISSCC 2014).
ADD_PJ = 0.1
MULTIPLY_PJ = 3.1
MAC_PJ = MULTIPLY_PJ + ADD_PJ
WORD_BYTES = 4
# Spikes that the buffer of a layer's input or output holds.
FIFO_WORDS = 1000


@dataclass(frozen=True)
class Layer:
    """Counts of one layer after the input, of one image or means over images.

    Attributes:
        inputs: n_i.
        neurons: n_o.
        steps: T; 1 for a layer of ReLU units.
        spikes_in, spikes_out: S_i and S_o; unused for a layer of ReLU units.
        bias: whether the neurons have one.
        leak: whether their potentials are multiplied in every step.
        fires: whether they spike; False for a readout of potentials.
    """

    inputs: int
    neurons: int
    steps: int = 1
    spikes_in: float = 0
    spikes_out: float = 0
    bias: bool = True
    leak: bool = True
    fires: bool = True

    @property
    def events(self) -> float:
        """D."""
        return self.spikes_in * self.neurons

    @property
    def updates(self) -> int:
        """T n_o."""
        return self.steps * self.neurons

    @property
    def synapses(self) -> int:
        """n_i n_o."""
        return self.inputs * self.neurons


def network(formula: Callable[[Layer], Items], layers: Iterable[Layer]) -> Items:
    """The sums over the layers of a network, item by item."""
    totals: Items = {}
    for layer in layers:
        for item, energy in formula(layer).items():
            totals[item] = totals.get(item, 0) + energy
    return totals


def spikingjelly_byte_pj(capacity: float) -> float:
    """pJ a byte read from or written to a memory of `capacity` bytes.

    Linear through the points, constant above. Horowitz's 10, 20 and 100 pJ are prices
    of 64 bits; here each is that of a word of 32.
    """
    points = ((0, 0.0), (8192, 2.5), (32_768, 5.0), (1_048_576, 25.0))
    for (x0, y0), (x1, y1) in pairwise(points):
        if capacity <= x1:
            return y0 + (y1 - y0) * (capacity - x0) / (x1 - x0)
    return points[-1][1]


def _spikingjelly_words(words: float, capacity_words: int) -> float:
    return WORD_BYTES * words * spikingjelly_byte_pj(WORD_BYTES * capacity_words)


def spikingjelly_spiking(layer: Layer) -> Items:
    """A layer of ``LIFNode`` or ``IFNode``."""
    biases = layer.updates * layer.bias
    return {
        "operations": ADD_PJ * (layer.events + biases + layer.spikes_out)
        + MAC_PJ * layer.updates * layer.leak,
        "addressing": ADD_PJ * layer.events,
        "in_out": _spikingjelly_words(layer.spikes_in + layer.spikes_out, FIFO_WORDS),
        "parameters": _spikingjelly_words(
            layer.events + biases, layer.synapses + layer.neurons * layer.bias
        ),
        "potentials": _spikingjelly_words(
            2 * (layer.events + layer.updates), layer.neurons
        ),
    }


def spikingjelly_convolution(
    layer: Layer,
    channels: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    weights: int,
) -> Items:
    """A convolution before ``LIFNode``; its counts are bounds, above those of borders.

    Each spike adds to ceil(k / s) outputs along an axis, and reads and moves k of them,
    in each of the `channels` of its group, wherever it is.
    """
    added = (
        layer.spikes_in
        * channels
        * math.prod(map(math.ceil, map(truediv, kernel, stride)))
    )
    moved = layer.spikes_in * channels * math.prod(kernel)
    biases = layer.updates * layer.bias
    return {
        "operations": ADD_PJ * (added + biases + layer.spikes_out)
        + MAC_PJ * layer.updates * layer.leak,
        "addressing": ADD_PJ * moved + MAC_PJ * 2 * layer.spikes_in,
        "in_out": _spikingjelly_words(layer.spikes_in + layer.spikes_out, FIFO_WORDS),
        "parameters": _spikingjelly_words(moved + biases, weights),
        "potentials": _spikingjelly_words(2 * (moved + layer.updates), layer.neurons),
    }


def spikingjelly_relu(layer: Layer) -> Items:
    """A layer of ReLU units, of which no zero is left out.

    An input of zeros and ones alone is taken for spikes, be it an image or a silent
    layer.
    """
    parameters = layer.synapses + layer.neurons * layer.bias
    return {
        "operations": MAC_PJ * layer.synapses + ADD_PJ * layer.neurons * layer.bias,
        "addressing": ADD_PJ * (layer.inputs + layer.neurons),
        "in_out": _spikingjelly_words(layer.inputs, layer.inputs)
        + _spikingjelly_words(layer.neurons, layer.neurons),
        "parameters": _spikingjelly_words(parameters, parameters),
        "potentials": 0.0,
    }


def qualia_word_pj(capacity_words: int) -> float:
    """pJ an access to a memory of `capacity_words` words of 32 bits: their fit of
    Horowitz's.
    """
    return 1.09e-5 * 32 * capacity_words + 13.2


def qualia_spiking(layer: Layer) -> Items:
    """A fully connected layer with a neuron that fires.

    As the code has it, a layer without biases adds them all the same, and addressing is
    charged for the mean spikes *of an input*, n_i times less than the docstring and the
    paper's eq. 17.2 say.
    """
    return {
        "operations": ADD_PJ * (layer.events + layer.updates + layer.spikes_out)
        + MAC_PJ * layer.updates * layer.leak,
        "addressing": ADD_PJ * layer.events / layer.inputs,
        "in_out": (layer.spikes_in + layer.spikes_out) * qualia_word_pj(FIFO_WORDS),
        "weights": layer.events * qualia_word_pj(layer.synapses),
        "biases": layer.updates * layer.bias * qualia_word_pj(layer.neurons),
        "potentials": 2
        * (layer.events + layer.updates)
        * qualia_word_pj(layer.neurons),
    }


def qualia_relu(layer: Layer) -> Items:
    """A fully connected layer of a formal network; the biases are added even if there
    are none.
    """
    return {
        "operations": MAC_PJ * layer.synapses + ADD_PJ * layer.neurons,
        "addressing": ADD_PJ * layer.synapses,
        "in_out": layer.inputs * qualia_word_pj(layer.inputs)
        + layer.neurons * qualia_word_pj(layer.neurons),
        "weights": layer.synapses * qualia_word_pj(layer.synapses),
        "biases": layer.neurons * layer.bias * qualia_word_pj(layer.neurons),
        "potentials": 0.0,
    }


# An accumulation, a comparison or a subtraction at 22 nm (Yan et al.).
YAN_ADD_PJ = 0.05448
DRAM_PJ_PER_BIT = 20.0
ON_CHIP_PJ_PER_BIT = 0.25
# Width of the spiking network's weights and potentials.
SPYX_BITS = 8


def spyx_spiking(layer: Layer) -> Items:
    """A spiking layer, or a readout of potentials; neither leak nor bias is charged."""
    decisions = (layer.updates + layer.spikes_out) * layer.fires
    return {
        "operations": YAN_ADD_PJ * (layer.events + decisions),
        "weights": layer.events * SPYX_BITS * DRAM_PJ_PER_BIT,
        "potentials": 2 * layer.updates * SPYX_BITS * ON_CHIP_PJ_PER_BIT,
        "activations": 0.0,
    }


def spyx_quantised_bits(steps: int) -> int:
    """Bits of the network of ReLU units that a window of T steps is compared with."""
    return math.ceil(math.log2(steps + 1))


def spyx_quantised(layers: list[Layer], bits: int) -> Items:
    """A whole network of ReLU units with weights and activations of `bits` bits; none
    is skipped.

    A multiplication costs as the square of the width, an addition as the width.
    """
    synapses = sum(layer.synapses for layer in layers)
    units = sum(layer.neurons for layer in layers)
    mac = 3.7 * (bits / 32) ** 2 + 0.9 * bits / 32
    return {
        "operations": synapses * mac + YAN_ADD_PJ * 2 * units,
        "weights": synapses * bits * DRAM_PJ_PER_BIT,
        "potentials": 0.0,
        "activations": (layers[0].inputs + units) * bits * ON_CHIP_PJ_PER_BIT,
    }
