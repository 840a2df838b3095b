"""The spiking network in PyTorch: the reference for the kernels, on any device.

Parameters are named as in the original notebook (``layer1.synapses.weight``, ...), so
state dicts are interchangeable. Here autograd derives the backward pass; the kernels
spell it out. Neither imports the other.

On the grids of a quantised network (:mod:`spikejoule.network.quantisation`) every
number is exact, in float32 up to 24 bits, and gradients pass straight through the
rounding.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from spikejoule.network.integers import LayerConstants, layer_constants, quantisation_of
from spikejoule.network.network import Network
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Convolution, Neurons
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.surrogates import Surrogate

Derivative = Callable[[Tensor], Tensor | float]


class _Replaced(torch.autograd.Function):
    """Replaces a value in the forward pass, and its derivative in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, derivative: Derivative) -> Tensor:
        ctx.save_for_backward(x)
        ctx.derivative = derivative
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.derivative(x), None, None


def _replaced(x: Tensor, value: Tensor, derivative: Derivative) -> Tensor:
    # Only newer versions of PyTorch type this call.
    apply: Any = _Replaced.apply
    result: Tensor = apply(x, value.detach(), derivative)
    return result


def fire(x: Tensor, derivative: Derivative) -> Tensor:
    """Spikes of x = v - threshold: 1 where x >= 0, with the surrogate as derivative."""
    return _replaced(x, (x >= 0).to(x.dtype), derivative)


class SpikingLayer(nn.Module):
    """Synapses and neurons; all steps share one matrix product or convolution.

    Args:
        network: the network.
        number: position of the layer after the input, from 0.

    Attributes:
        grid: the grid on which a quantised layer computes; None for floating point.
    """

    def __init__(self, network: Network, number: int) -> None:
        super().__init__()
        connection = network.forward_connections[number]
        neuron = network.neurons[number]
        self.synapses: nn.Linear | nn.Conv2d
        if isinstance(connection, Convolution):
            windows = connection.windows
            self.synapses = nn.Conv2d(
                connection.in_shape[0],
                connection.out_shape[0],
                windows.kernel,
                windows.stride,
                windows.padding,
                groups=connection.groups,
                bias=neuron.has_bias,
            )
        else:
            self.synapses = nn.Linear(
                connection.n_in, connection.n_out, bias=neuron.has_bias
            )
        self.recurrent: nn.Linear | None = None
        if network.recurrent_connections[number] is not None:
            n_units = connection.n_out
            self.recurrent = nn.Linear(n_units, n_units, bias=False)
        self._in_shape = connection.in_shape
        self._pooling = network.pooling_before(connection)
        self.neurons = nn.ParameterDict(
            {
                name: torch.tensor([neuron.first_learned(name)])
                for name in neuron.learned_names
            }
        )
        self.neuron = neuron
        self.grid: LayerGrid | None = None
        self._fires = network.of(Neurons)[number].spikes

    def _current(self, spikes: Tensor) -> Tensor:
        """Input currents [T, B, units] of all steps at once."""
        values = spikes
        pooling = self._pooling
        if pooling is not None:
            # A sum is an average with divisor 1.
            values = nn.functional.avg_pool2d(
                values.reshape(-1, *pooling.in_shape),
                pooling.windows.kernel,
                divisor_override=None if pooling.average else 1,
            )
        if pooling is not None or isinstance(self.synapses, nn.Conv2d):
            values = values.reshape(-1, *self._in_shape)
        parameters = self._synapse_values()
        if self.neuron.starts_at_bias:
            parameters["bias"] = torch.zeros_like(parameters["bias"])
        current: Tensor = functional_call(self.synapses, parameters, (values,))
        return current.reshape(*spikes.shape[:2], -1)

    def _synapse_values(self) -> dict[str, Tensor]:
        """Weights and biases, on the grid of a quantised layer."""
        grid = self.grid
        return {
            name: values if grid is None else grid.parameter(name, values)
            for name, values in self.synapses.named_parameters()
        }

    def forward(self, spikes: Tensor, derivative: Derivative) -> Tensor:
        """Spikes [T, B, n_source] to spikes [T, B, n_target].

        An output that integrates without spiking gives its potentials.
        """
        current = self._current(spikes)
        grid = self.grid
        neuron = self.neuron.with_tensors(dict(self.neurons.items()))
        if grid is not None:
            neuron = grid.neuron(neuron)
        membrane = torch.zeros_like(current[0])
        if neuron.starts_at_bias:
            biases = self._synapse_values()["bias"]
            n_positions = membrane.shape[1] // len(biases)
            membrane = membrane + biases.repeat_interleave(n_positions)
        recurrent = None if self.recurrent is None else self.recurrent.weight
        if recurrent is not None and grid is not None:
            recurrent = grid.parameter("weight", recurrent)
        emitted: list[Tensor] = []
        for step in range(current.shape[0]):
            if grid is not None:
                membrane = grid.leaked(membrane)
            arriving = current[step]
            if recurrent is not None and emitted:
                arriving = arriving + nn.functional.linear(emitted[-1], recurrent)
            if self._fires:
                spikes, membrane = neuron.step(
                    membrane, arriving, lambda x: fire(x, derivative)
                )
            else:
                assert isinstance(neuron, LeakyIntegrateAndFire)
                membrane = neuron.integrate(membrane, arriving)
            if grid is not None:
                membrane = grid.saturated(membrane)
            emitted.append(spikes if self._fires else membrane)
        return torch.stack(emitted)


class SpikingNetwork(nn.Module):
    """A chain of spiking layers ``layer1``, ``layer2``, ...

    Args:
        network: layers and neurons.
        surrogate: the surrogate derivative, with its slope; None for a network that
            only runs: no gradient flows back through its spikes.

    Attributes:
        layers: the layers by name.
    """

    def __init__(self, network: Network, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        self.layers: dict[str, SpikingLayer] = {}
        for number in range(len(network.neurons)):
            name = f"layer{number + 1}"
            self.layers[name] = SpikingLayer(network, number)
            self.add_module(name, self.layers[name])
        self._derivative: Derivative = torch.zeros_like
        if surrogate is not None:
            self._derivative = surrogate.derivative

    def use_grids(self, network: Network) -> None:
        """Compute on the grids of a quantised network from now on."""
        quantisation = quantisation_of(network)
        for layer, constants in zip(
            self.layers.values(), layer_constants(network), strict=True
        ):
            layer.grid = LayerGrid(quantisation, constants)

    def forward(self, spikes: Tensor) -> list[Tensor]:
        """Input spikes [T, B, I] to the spikes of every layer, [T, B, units] each.

        The potentials of an output that integrates take the place of its spikes.
        """
        emitted = []
        for layer in self.layers.values():
            spikes = layer(spikes, self._derivative)
            emitted.append(spikes)
        return emitted


def initial_state(network: Network, seed: int) -> dict[str, Tensor]:
    """Initial parameters: drawn synapses, and the initial constants of neurons."""
    shapes = network.parameter_shapes()
    state = drawn_synapses(shapes, seed)
    for name in shapes.keys() - state.keys():
        layer, _, parameter = name.partition(".neurons.")
        neuron = network.neurons[int(layer.removeprefix("layer")) - 1]
        state[name] = torch.tensor([neuron.first_learned(parameter)])
    return {name: state[name] for name in shapes}


def drawn_synapses(
    shapes: Mapping[str, tuple[int, ...]], seed: int
) -> dict[str, Tensor]:
    """Draw weights and biases as ``nn.Linear`` and ``nn.Conv2d`` do.

    Uniform in +-1/sqrt(number of sources), for weights, recurrent weights and biases
    (LeCun et al. 1998, as in PyTorch). The generator is a fresh one.

    Args:
        shapes: shapes of all parameters by name, in the order of drawing.
        seed: seed of the generator.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith((".weight", ".bias")):
            weight_shape = shapes[name.replace("bias", "weight")]
            bound = torch.tensor(1 / math.sqrt(math.prod(weight_shape[1:]))).double()
            # `Tensor.uniform_` rounds once or twice, depending on the processor. These
            # are its integers; in float64 their products and sums are exact.
            whole = torch.empty(shape).random_(0, 2**24, generator=generator)
            state[name] = (whole.double() * (2 * bound / 2**24) - bound).float()
    return state


def _straight_through(x: Tensor) -> Tensor | float:
    return 1.0


@dataclass(frozen=True)
class LayerGrid:
    """The grid of one layer, with the constants of its neurons on it."""

    quantisation: Quantisation
    constants: LayerConstants

    def parameter(self, name: str, values: Tensor) -> Tensor:
        """Round weights or biases, by their name, to the grid."""
        limit = self.quantisation.largest_bias
        if name == "weight":
            limit = self.quantisation.largest_weight
        unit = self.constants.value(1)
        rounded = torch.clamp(torch.round(values / unit), -limit, limit) * unit
        return _replaced(values, rounded, _straight_through)

    def neuron(self, neuron: Neuron) -> Neuron:
        """The layer's neuron without leak, and with its threshold on the grid."""
        threshold = self.constants.value(self.constants.threshold)
        return neuron.model_copy(update={"threshold": threshold, "decay": 1.0})

    def leaked(self, membrane: Tensor) -> Tensor:
        """Apply the leak to a potential and round down to the grid."""
        unit = self.constants.value(1)
        decay = self.constants.decay
        # In float64, where the product is exact.
        left = torch.floor(membrane.double() / unit * decay) * unit
        return _replaced(membrane, left.to(membrane.dtype), lambda _: decay)

    def saturated(self, membrane: Tensor) -> Tensor:
        """Clamp a potential to the range that is kept after each step."""
        lowest = self.constants.value(self.constants.lowest)
        highest = self.constants.value(self.constants.highest)
        return _replaced(
            membrane, torch.clamp(membrane, lowest, highest), _straight_through
        )
