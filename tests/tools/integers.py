"""Small networks of integers, and spikes for them."""

from typing import Any

import numpy as np

from spikejoule.model.architecture import Architecture
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation, with_grids


def integer_network(
    *sizes: int,
    weight_bits: int = 8,
    state_bits: int = 32,
    neuron: LeakyIntegrateAndFire | None = None,
) -> tuple[Architecture, dict[str, Any]]:
    """A network of integers whose every layer fires now and then, and its parameters as floats."""
    generator = np.random.default_rng(weight_bits)
    neuron = neuron or LeakyIntegrateAndFire()
    quantisation = Quantisation(weight_bits, state_bits)
    architecture = Architecture(sizes[0], sizes[1:-1], sizes[-1], neuron, quantisation)
    state = {
        name: generator.normal(0.08, 1.2 / np.sqrt(max(shape[-1], 4)), shape)
        if len(shape) == 2
        else generator.normal(0.05, 0.1, shape)
        for name, shape in architecture.parameter_shapes().items()
    }
    return with_grids(architecture, state), state


def spike_trains(n_inputs: int, n_samples: int, n_steps: int, density: float = 0.3) -> np.ndarray:
    """Random spikes [N, T, I]."""
    generator = np.random.default_rng([n_samples, n_steps])
    return (generator.random((n_samples, n_steps, n_inputs)) < density).astype(int)
