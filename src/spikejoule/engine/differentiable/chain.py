"""The layers of a model as data: shapes and neurons, without weights."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from spikejoule.engine.differentiable.dynamics import Dynamics

Shape = tuple[int, ...]

Potentials = Literal["before_reset", "after_reset"]


@dataclass(frozen=True)
class Linear:
    """Full connectivity with the flattened source; weights are [n_units, n_sources]."""

    n_units: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape of the target."""
        return (self.n_units,)


@dataclass(frozen=True)
class Convolution:
    """A convolution over (channels, height, width); weights are those of `Conv2d`.

    Attributes:
        channels: of the target.
        kernel, stride, padding: (height, width) each.
        groups: groups of channels.
    """

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape of the target."""
        sides = zip(in_shape[1:], self.kernel, self.stride, self.padding, strict=True)
        plane = ((size + 2 * pad - k) // step + 1 for size, k, step, pad in sides)
        return (self.channels, *plane)


@dataclass(frozen=True)
class Currents:
    """No synapses: the chain's input is what each neuron of its first layer receives.

    For inputs that are not spikes, whose products PyTorch computes.
    """

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape of the target, which is that of the input."""
        return in_shape


@dataclass(frozen=True)
class Pooling:
    """Averages, or sums, over windows whose stride is their size.

    Attributes:
        window: height and width.
        average: whether the sum is divided by the size of the window.
    """

    window: int
    average: bool = True

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape of the target; rows and columns behind the last window are ignored."""
        return (in_shape[0], *(size // self.window for size in in_shape[1:]))


@dataclass(frozen=True)
class Layer:
    """Neurons and what connects them to the layer before.

    Attributes:
        connection: the synapses.
        dynamics: the neurons.
        pooling: applied to the spikes of the layer before; None without.
        recurrent: whether spikes return to all neurons of the layer a step later,
            through weights [n_units, n_units].
    """

    connection: Linear | Convolution | Currents
    dynamics: Dynamics
    pooling: Pooling | None = None
    recurrent: bool = False


@dataclass(frozen=True)
class Chain:
    """Layers one behind another, and what their last one records.

    Attributes:
        in_shape: shape of the input of one step, (n,) or (channels, height, width).
        layers: first to last.
        records_spikes: whether the last layer's spikes are an output.
        potentials: which of its potentials are an output; None without.
    """

    in_shape: Shape
    layers: tuple[Layer, ...]
    records_spikes: bool = True
    potentials: Potentials | None = None

    @property
    def takes_currents(self) -> bool:
        """Whether the input is currents in place of spikes."""
        return isinstance(self.layers[0].connection, Currents)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of the input and of every layer."""
        shapes = [self.in_shape]
        for layer in self.layers:
            source = shapes[-1]
            if layer.pooling is not None:
                source = layer.pooling.out_shape(source)
            shapes.append(layer.connection.out_shape(source))
        return tuple(shapes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Units of the input and of every layer."""
        return tuple(math.prod(shape) for shape in self.shapes)
