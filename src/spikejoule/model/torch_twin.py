"""The spiking network in torch: the reference for the compiled kernels, on any device.

Its parameters carry the names of the seed notebook's network (``layer1.synapses.weight``, ...), so
that the state dicts of the two fit each other. Autograd derives the backward pass here; the
kernels spell it out. Neither knows the other.

Rounding in torch, with gradients that go straight through it.

The rule, and the source of the estimator, are in :mod:`spikejoule.model.quantisation`. On the grid
every number is exact, in float32 up to 24 bits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikejoule.model.network import Connection, Convolution, Network, Pooling
from spikejoule.model.neuron import Neuron
from spikejoule.model.quantisation import LayerConstants, layer_constants, quantisation_of
from spikejoule.model.surrogates import Surrogate

Derivative = Callable[[Tensor], Tensor]


class _Spike(torch.autograd.Function):
    """A step at the threshold whose derivative is the surrogate's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, derivative: Derivative) -> Tensor:
        ctx.save_for_backward(x)
        ctx.derivative = derivative
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.derivative(x), None


def fire(x: Tensor, derivative: Derivative) -> Tensor:
    """Spikes of x = v - threshold: 1 where x >= 0, with the surrogate as derivative."""
    spikes: Tensor = _Spike.apply(x, derivative)  # type: ignore[no-untyped-call]
    return spikes


class SpikingLayer(nn.Module):
    """Synapses and neurons; all steps share one matrix product, or one convolution.

    Args:
        connection: the synapses, fully connected or a convolution.
        neuron: behind them.
        pooling: before them, if there is some.
        recurrent: whether the layer's spikes come back to it in the next step.

    Attributes:
        grid: on which the layer computes if the network is quantised.
    """

    def __init__(
        self,
        connection: Connection,
        neuron: Neuron,
        pooling: Pooling | None = None,
        recurrent: bool = False,
    ) -> None:
        super().__init__()
        self.synapses: nn.Linear | nn.Conv2d
        if isinstance(connection, Convolution):
            channels, windows = connection.out_shape[0], connection.windows
            self.synapses = nn.Conv2d(
                connection.in_shape[0], channels, windows.kernel, windows.stride, windows.padding,
                groups=connection.groups, bias=neuron.has_bias,
            )  # fmt: skip
        else:
            self.synapses = nn.Linear(connection.n_in, connection.n_out, bias=neuron.has_bias)
        n_units = connection.n_out
        self.recurrent = nn.Linear(n_units, n_units, bias=False) if recurrent else None
        self._in_shape, self._pooling = connection.in_shape, pooling
        self.neurons = nn.ParameterDict(
            {name: torch.tensor([neuron.first_learned(name)]) for name in neuron.learned_names}
        )
        self.neuron = neuron
        self.grid: LayerGrid | None = None

    def _current(self, spikes: Tensor) -> Tensor:
        values, steps_and_samples = spikes, spikes.shape[:2]
        if self._pooling is not None:
            values = pooled(values.reshape(-1, *self._pooling.in_shape), self._pooling)
        synapses = self.synapses
        if self._pooling is not None or isinstance(synapses, nn.Conv2d):
            values = values.reshape(-1, *self._in_shape)
        weight, bias, grid = synapses.weight, synapses.bias, self.grid
        if grid is not None:
            weight, bias = grid.weights(weight), None if bias is None else grid.biases(bias)
        if isinstance(synapses, nn.Conv2d):
            stride, padding, groups = synapses.stride, synapses.padding, synapses.groups
            current = nn.functional.conv2d(
                values, weight, bias, stride, padding, synapses.dilation, groups
            )
        else:
            current = nn.functional.linear(values, weight, bias)
        return current.reshape(*steps_and_samples, -1)

    def forward(self, spikes: Tensor, derivative: Derivative) -> Tensor:
        """Spikes [T, B, n_source] to spikes [T, B, n_target]."""
        current, grid = self._current(spikes), self.grid
        neuron = self.neuron if grid is None else grid.neuron
        neuron = neuron.with_tensors(dict(self.neurons.items()))
        membrane = torch.zeros_like(current[0])
        recurrent = None if self.recurrent is None else self.recurrent.weight
        if recurrent is not None and grid is not None:
            recurrent = grid.weights(recurrent)
        emitted: list[Tensor] = []
        for step in range(current.shape[0]):
            if grid is not None:
                membrane = grid.leaked(membrane)
            arriving = current[step]
            if recurrent is not None and emitted:
                arriving = arriving + nn.functional.linear(emitted[-1], recurrent)
            spikes, membrane = neuron.step(membrane, arriving, lambda x: fire(x, derivative))
            if grid is not None:
                membrane = grid.saturated(membrane)
            emitted.append(spikes)
        return torch.stack(emitted)


def pooled(values: Tensor, pooling: Pooling) -> Tensor:
    """Sums of windows of values [samples, C, H, W], or averages."""
    divisor = None if pooling.average else 1
    windows = pooling.windows
    return nn.functional.avg_pool2d(
        values, windows.kernel, windows.stride, divisor_override=divisor
    )


class SpikingNetwork(nn.Module):
    """A chain of spiking layers ``layer1``, ``layer2``, ...

    Args:
        architecture: layers and neurons.
        surrogate: the surrogate derivative, with its slope.
    """

    def __init__(self, architecture: Network, surrogate: Surrogate) -> None:
        super().__init__()
        self._names: list[str] = []
        recurrent = set(architecture.connections) - set(architecture.forward_connections)
        for one, neuron in zip(architecture.forward_connections, architecture.neurons, strict=True):
            before = architecture.nodes[architecture.sources[one.name][0]]
            target = architecture.target_of(one)
            layer = SpikingLayer(
                one,
                neuron,
                before if isinstance(before, Pooling) else None,
                any(architecture.target_of(other) == target for other in recurrent),
            )
            self._names.append(f"layer{len(self._names) + 1}")
            self.add_module(self._names[-1], layer)
        self._derivative = surrogate.derivative

    def use_grids(self, architecture: Network) -> None:
        """Compute on the grids of a quantised network from now on."""
        for name, grid in zip(self._names, layer_grids(architecture), strict=True):
            self.layer(name).grid = grid

    def layer(self, name: str) -> SpikingLayer:
        """The layer of a name."""
        layer = self.get_submodule(name)
        assert isinstance(layer, SpikingLayer)
        return layer

    def forward(self, spikes: Tensor) -> list[Tensor]:
        """Input spikes [T, B, I] to the spikes of every layer after it, [T, B, units] each."""
        layers = []
        for name in self._names:
            spikes = self.get_submodule(name)(spikes, self._derivative)
            layers.append(spikes)
        return layers


def initial_state(architecture: Network, seed: int) -> dict[str, Tensor]:
    """Fresh parameters as ``nn.Linear`` and ``nn.Conv2d`` draw them, from a generator of its own.

    Uniform in +-1/sqrt(number of sources), for weights and biases (LeCun et al. 1998, as in
    torch), recurrent ones among them. What neurons learn begins with their parameters.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    shapes = architecture.parameter_shapes()
    for name, shape in shapes.items():
        layer, _, parameter = name.partition(".neurons.")
        if parameter:
            neuron = architecture.neurons[int(layer.removeprefix("layer")) - 1]
            state[name] = torch.tensor([neuron.first_learned(parameter)])
            continue
        weight_shape = shapes[name.replace("bias", "weight")]
        bound = 1 / math.sqrt(math.prod(weight_shape[1:]))
        state[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return state


class _StraightThrough(torch.autograd.Function):
    """Another value in the forward pass, and in the backward pass `slope` times the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, replaced: Tensor, slope: float) -> Tensor:
        ctx.slope = slope
        return replaced

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.slope, None, None


def _straight_through(values: Tensor, replaced: Tensor, slope: float = 1.0) -> Tensor:
    result: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
        values, replaced.detach(), slope
    )
    return result


@dataclass(frozen=True)
class LayerGrid:
    """The grid of one layer.

    Attributes:
        constants: of the layer, in integers.
        neuron: of the layer, without a leak and with its threshold on the grid.
        largest_weight, largest_bias: the largest magnitudes on the grid.
    """

    constants: LayerConstants
    neuron: Neuron
    largest_weight: int
    largest_bias: int

    def weights(self, values: Tensor) -> Tensor:
        """Weights on the grid."""
        return self._rounded(values, self.largest_weight)

    def biases(self, values: Tensor) -> Tensor:
        """Biases on the grid."""
        return self._rounded(values, self.largest_bias)

    def _rounded(self, values: Tensor, limit: int) -> Tensor:
        unit = self.constants.value(1)
        return _straight_through(
            values, torch.clamp(torch.round(values / unit), -limit, limit) * unit
        )

    def leaked(self, membrane: Tensor) -> Tensor:
        """What the leak leaves of a potential, rounded down to the grid."""
        unit, decay = self.constants.value(1), self.constants.decay
        # In float64, where the product is exact.
        left = torch.floor(membrane.double() / unit * decay) * unit
        return _straight_through(membrane, left.to(membrane.dtype), decay)

    def saturated(self, membrane: Tensor) -> Tensor:
        """A potential in the range that is kept from step to step."""
        lowest, highest = (
            self.constants.value(end) for end in (self.constants.lowest, self.constants.highest)
        )
        return _straight_through(membrane, torch.clamp(membrane, lowest, highest))


def layer_grids(architecture: Network) -> list[LayerGrid]:
    """The grid of each layer of a quantised network, after the input."""
    quantisation = quantisation_of(architecture)
    return [
        LayerGrid(
            constants,
            neuron.model_copy(
                update={"threshold": constants.value(constants.threshold), "decay": 1.0}
            ),
            quantisation.largest_weight,
            quantisation.largest_bias,
        )
        for constants, neuron in zip(
            layer_constants(architecture), architecture.neurons, strict=True
        )
    ]
