"""Both networks, as the scripts read them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.encoder import INTENSITIES, ByLevel, OncePerPixel
from spikejoule.network.integers import integers_of, layer_constants
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Neurons
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.network.readout import readout_entry
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.opponent import Opponent
from spikejoule.playground.packing import packed


def spiking_network(inputs: PlaygroundInputs) -> dict[str, Any]:
    """The spiking network and its encoding."""
    encoder = encoder_of(inputs)
    seed = inputs.checkpoint.file.spikejoule.seed or 0
    return {
        "layers": _layers(inputs),
        "encoder": _table(encoder),
        "firstLevel": first_level(encoder),
        "key": str(int(encoder.draw_key(seed, "test", 0))),
        "nSteps": encoder.time_window,
        "stepMs": encoder.step_ms,
        "nTest": len(inputs.images),
        "exit": _exit_rule(inputs),
        **readout_entry(inputs.checkpoint.network.readout),
    }


def encoder_of(inputs: PlaygroundInputs) -> ByLevel:
    """The encoder of the spiking network."""
    encoder = inputs.checkpoint.encoder
    assert isinstance(encoder, ByLevel)  # as are all of ENCODINGS
    return encoder


def _table(encoder: ByLevel) -> dict[str, Any]:
    """What the encoding makes of each of the 256 levels of a pixel."""
    table = encoder.table(INTENSITIES)
    if encoder.name == "poisson":
        return {"type": "poisson", "gapScale": table[0].tolist()}
    if isinstance(encoder, OncePerPixel):
        return {"type": encoder.name, "stepOfLevel": table.tolist()}
    return {"type": "regular", "increments": table.tolist()}


def first_level(encoder: ByLevel) -> int:
    """The lowest level of a pixel that the ledger counts as one that may fire."""
    if not isinstance(encoder, OncePerPixel):
        return 1
    return int(np.count_nonzero(encoder.table(INTENSITIES) == encoder.time_window))


def _exit_rule(inputs: PlaygroundInputs) -> dict[str, Any]:
    """When the network may stop; a margin of integer potentials is on their grid."""
    early = inputs.early
    if early is None:
        never = inputs.checkpoint.encoder.time_window + 1
        return {"rule": "lead", "margin": never}
    if early.margin is None:
        return {"rule": "first_spike"}
    if early.margin == math.inf:
        return {"rule": "never"}
    network = inputs.checkpoint.network
    if early.margin_potential is not None and network.quantisation is not None:
        exponent = layer_constants(network)[-1].exponent
        return {"rule": "lead", "margin": math.ldexp(early.margin, exponent)}
    return {"rule": "lead", "margin": early.margin}


def _layers(inputs: PlaygroundInputs) -> list[dict[str, Any]]:
    """Weights and constants of each layer of neurons."""
    checkpoint = inputs.checkpoint
    network = checkpoint.network
    integers = network.quantisation is not None
    state: Mapping[str, NDArray[Any]] = checkpoint.state
    if integers:
        state = integers_of(network, checkpoint.state)
    layers = []
    for number in range(1, len(network.layers)):
        weights = state[f"layer{number}.synapses.weight"]
        biases = state.get(f"layer{number}.synapses.bias")
        fan_out = inputs.measured.fan_outs[number - 1].astype(np.uint16)
        layers.append(
            {
                "weights": packed(weights.T),
                **_biases_of(network, biases),
                "fanOut": packed(fan_out) if checkpoint.pruned else None,
                "nSources": weights.shape[1],
                "nUnits": weights.shape[0],
                **_neuron(network, number, integers),
            }
        )
    return layers


def _biases_of(
    network: Network, biases: NDArray[Any] | None
) -> dict[str, dict[str, str] | None]:
    """What every step adds, or the potentials before the first step."""
    if biases is None:
        return {"biases": None}
    if network.starts_at_bias:
        return {"biases": None, "initial": packed(biases)}
    return {"biases": packed(biases)}


def _neuron(network: Network, number: int, integers: bool) -> dict[str, Any]:
    """The constants of a layer's neurons, as `scripts/spiking.js` takes them."""
    if integers:
        constants = layer_constants(network)[number - 1]
        return {
            "threshold": constants.threshold if constants.fires else None,
            "decay": constants.leak,
            "range": [constants.lowest, constants.highest],
            "subtracts": constants.subtracts,
        }
    neuron = network.neurons[number - 1]
    assert isinstance(neuron, LeakyIntegrateAndFire)
    threshold, decay = neuron.constants
    fires = network.of(Neurons)[number - 1].spikes
    return {
        "threshold": float(np.float32(threshold)) if fires else None,
        "decay": float(np.float32(decay)),
        "range": None,
        "subtracts": neuron.reset == "subtract",
    }


def conventional_network(opponent: Opponent | None) -> dict[str, Any] | None:
    """The conventional network; None without one."""
    if opponent is None:
        return None
    counts = opponent.counts
    network = counts.network
    is_float = network.weight_bits == FLOAT_BITS
    layers = []
    for number in range(1, len(counts.synapses) + 1):
        prefix = f"layer{number}."
        kind = prefix if is_float else f"{prefix}integer_"
        weights = opponent.weights[f"{kind}weight"]
        biases = opponent.weights.get(f"{kind}bias")
        scaling = opponent.weights.get(f"{prefix}requantisation")
        kept = np.count_nonzero(weights, axis=0).astype(np.uint16)
        layers.append(
            {
                "weights": packed(_narrow(weights.T)),
                "biases": None if biases is None else biases.tolist(),
                "fanOut": packed(kept) if counts.activity.pruned else None,
                "nSources": weights.shape[1],
                "nUnits": weights.shape[0],
                "nSynapses": counts.synapses[number - 1],
                "requantisation": None if scaling is None else scaling.tolist(),
            }
        )
    ranges = {
        "largestActivation": 2**network.activation_bits - 1,
        "halfOfSums": 2 ** (network.state_bits - 1),
    }
    return {
        "layers": layers,
        "integers": None if is_float else ranges,
        "skipsZeros": opponent.variant.dataflow.skips_zeros,
    }


def _narrow(weights: NDArray[Any]) -> NDArray[Any]:
    """Integers in the narrowest type that holds them; floats as they are."""
    if weights.dtype.kind == "f":
        return weights
    return weights.astype(np.min_scalar_type(-int(np.abs(weights).max()) - 1))
