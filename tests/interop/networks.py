"""One network in several simulators: random weights, and the spikes that all of them must emit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.engine import run_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from tests.tools.settings import draw_key, encode

STEPS = 50


@dataclass(frozen=True, eq=False)
class Example:
    """A spiking network that has run.

    Attributes:
        architecture: its layers and neurons.
        state: its weights.
        layers: the spikes of every layer, the input first.
        pruned: whether nine synapses of ten are gone.
    """

    architecture: Architecture
    state: State
    layers: tuple[EventList, ...]
    pruned: bool

    def measured(self) -> Measurement:
        """Its counts."""
        return Measurement.of(self.state, self.architecture, self.layers, self.pruned)

    def dense(self, layer: int) -> torch.Tensor:
        """Spikes of a layer, float32 [T, N, units]."""
        spikes = torch.from_numpy(self.layers[layer].to_dense(np.float32))
        return spikes.transpose(0, 1).contiguous()


def random_state(architecture: Architecture, pruned: bool, seed: int = 1) -> State:
    """Weights that make every layer fire.

    They are multiples of 1/64, so that any order of sums is exact, and zero only where pruned.
    """
    generator = np.random.default_rng(seed)
    state = {}
    for name, shape in architecture.parameter_shapes().items():
        values = np.rint(64 * generator.normal(0.05, 0.35, shape)) / 64
        values[values == 0] = 1 / 64
        if pruned and name.endswith("weight"):
            values = np.where(generator.random(shape) < 0.9, 0, 3 * values)
        state[name] = values.astype(np.float32)
    return state


def spiking_example(
    images: NDArray[np.uint8],
    hidden: tuple[int, ...] = (40,),
    pruned: bool = False,
    **neuron: Any,
) -> Example:
    """A network of 784-...-10 that has run over the images in this project's engine."""
    architecture = Architecture(784, hidden, 10, LeakyIntegrateAndFire(**neuron))
    state = random_state(architecture, pruned)
    events = encode(images, STEPS, 80.0, draw_key(7, "test", 0))
    layers = (events, *run_network(state, architecture, events))
    return Example(architecture, state, layers, pruned)


def weighted(
    linear: Any, state: State, number: int, shape: tuple[int, int], **arguments: Any
) -> torch.nn.Module:
    """A linear layer of a simulator with the parameters of layer `number`; `shape` [in, out]."""
    parameters = {
        name: torch.from_numpy(state[key])
        for name in ("weight", "bias")
        if (key := f"layer{number}.synapses.{name}") in state
    }
    module: torch.nn.Module = linear(*shape, bias="bias" in parameters, **arguments)
    module.load_state_dict(parameters)
    return module


def in_spikingjelly(example: Example) -> list[torch.nn.Module]:
    """Linear layers and neurons in turn, in multi-step mode."""
    from spikingjelly.activation_based import layer, neuron

    sizes = example.architecture.layer_sizes
    modules: list[torch.nn.Module] = []
    for number, ours in enumerate(example.architecture.neurons, start=1):
        assert isinstance(ours, LeakyIntegrateAndFire)
        threshold, decay = ours.constants
        common = {
            "v_threshold": threshold,
            "v_reset": 0.0 if ours.reset == "zero" else None,
            "step_mode": "m",
        }
        shape = (sizes[number - 1], sizes[number])
        modules += [
            weighted(layer.Linear, example.state, number, shape, step_mode="m"),
            neuron.LIFNode(tau=1 / (1 - decay), decay_input=False, **common)
            if decay < 1
            else neuron.IFNode(**common),
        ]
    return modules


def in_snntorch(example: Example) -> torch.nn.Sequential:
    """Linear layers and leaky neurons in turn, for NeuroBench's SNNTorchModel."""
    from snntorch import Leaky

    sizes, neurons = example.architecture.layer_sizes, example.architecture.neurons
    modules: list[torch.nn.Module] = []
    for number, ours in enumerate(neurons, start=1):
        assert isinstance(ours, LeakyIntegrateAndFire)
        threshold, decay = ours.constants
        modules += [
            weighted(torch.nn.Linear, example.state, number, (sizes[number - 1], sizes[number])),
            Leaky(
                beta=decay, threshold=threshold, reset_mechanism="zero", reset_delay=True,
                init_hidden=True, output=number == len(neurons),
                spike_grad=lambda x: (x >= 0).to(x.dtype),
            ),
        ]  # fmt: skip
    return torch.nn.Sequential(*modules)
