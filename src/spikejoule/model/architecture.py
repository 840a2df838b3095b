"""The shape of a fully connected spiking network, and its neurons."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.model.neuron import Neuron
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation, unfit_for_integers

State = Mapping[str, NDArray[Any]]
"""Parameters by name: ``layer1.synapses.weight`` [target, source], and ``layer1.synapses.bias``
where neurons have one; ``layer1.neurons.decay_logit`` [1] and the like where they learn."""


@dataclass(frozen=True)
class Architecture:
    """Layer sizes and neurons of a fully connected spiking network.

    Attributes:
        n_input: number of inputs, I.
        hidden: number of neurons in each hidden layer, first to last.
        n_output: number of output neurons, O.
        neuron: the model of every neuron, with its parameters.
        quantisation: widths and grids of a network of integers; None for floating point.

    Raises:
        ParameterError: a size out of range, no hidden layer, a parameter of the neuron that does
            not fit the layers or another parameter, or neurons that cannot be integers.
    """

    n_input: int
    hidden: tuple[int, ...]
    n_output: int
    neuron: Neuron = field(default_factory=LeakyIntegrateAndFire)
    quantisation: Quantisation | None = None

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ParameterError("the network needs at least one hidden layer, none was given")
        for name, size in zip(self.layer_names, self.layer_sizes, strict=True):
            most = MAX_UNITS if name == self.layer_names[0] else 65_535
            if not 1 <= size <= most:
                raise ParameterError(f"layer {name} has {size} neurons; allowed are 1 to {most}")
        problem = self.neuron.problem(len(self.hidden) + 1)
        if problem:
            name, allowed = problem
            value = self.neuron.model_dump(mode="json")[name]
            raise ParameterError(f"{name} of the neurons is {value}; allowed: {allowed}")
        unfit = self.quantisation and unfit_for_integers(self.neuron)
        if unfit:
            raise ParameterError(unfit)

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neuron of each layer after the input, every parameter a single value."""
        return tuple(self.neuron.of_layer(number) for number in range(len(self.hidden) + 1))

    def learned_from(self, state: State) -> "Architecture":
        """The same network with the values that its neurons have learned, one for each layer."""
        names = self.neuron.learned_names
        if not names:
            return self
        learned = [
            neuron.with_learned(
                {name: float(state[f"layer{layer}.neurons.{name}"][0]) for name in names}
            )
            for layer, neuron in enumerate(self.neurons, start=1)
        ]
        return replace(self, neuron=self.neuron.joined(learned))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of units in each layer: the input first, the output last."""
        return (self.n_input, *self.hidden, self.n_output)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """``input``, ``hidden`` (or ``hidden1``, ``hidden2``, ...), ``output``."""
        if len(self.hidden) == 1:
            return ("input", "hidden", "output")
        return ("input", *(f"hidden{k + 1}" for k in range(len(self.hidden))), "output")

    @property
    def connection_names(self) -> tuple[str, ...]:
        """``input_to_hidden`` and so on, one for each weight matrix, from the input side."""
        return tuple(f"{source}_to_{target}" for source, target in pairwise(self.layer_names))

    @property
    def fan_outs(self) -> tuple[int, ...]:
        """Synapses that one spike of layer l reaches: the size of layer l + 1 (input first)."""
        return self.layer_sizes[1:]

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each weight matrix, from the input side."""
        return tuple(
            source * target
            for source, target in zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True)
        )

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter; weights are [target, source] as in torch."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (source, target) in enumerate(
            zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True), start=1
        ):
            shapes[f"layer{layer}.synapses.weight"] = (target, source)
            if self.neuron.has_bias:
                shapes[f"layer{layer}.synapses.bias"] = (target,)
            for name in self.neuron.learned_names:
                shapes[f"layer{layer}.neurons.{name}"] = (1,)
        return shapes
