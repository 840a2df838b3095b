"""What the playground knows of a run: networks, prices, and test images to choose from.

Everything is plain JSON; arrays are deflated and written as base64.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement, clocked_updates
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoder import INTENSITIES, ByLevel
from spikejoule.energy.ledger import judges
from spikejoule.energy.operations import averaging, count_operations
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.accuracy import (
    EarlyExit,
    exit_steps,
    step_outcomes,
    stopped_after,
)
from spikejoule.network.checkpoint import CompleteCheckpoint
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import integers_of, layer_constants
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.playground.opponent import Opponent, averaged_side
from spikejoule.playground.prices import LinearOperations, PlaygroundError

ENCODINGS: Final = ("latency", "poisson", "regular")
"""The encodings that `scripts/encoders.js` has."""

SOLVED_FROM: Final = 1000
"""Test images from which the prices of counts are solved."""

IN_A_GROUP: Final = 16
"""Test images in a group of the gallery."""

MNIST_SIDE: Final = 28
INK_SIDE: Final = 20
"""Of MNIST's images, and of the box that their ink fits, in pixels."""


@dataclass(frozen=True, eq=False)
class PlaygroundInputs:
    """What a run knows.

    Attributes:
        checkpoint: the spiking network.
        measured: its spikes for the N test images.
        images: these images.
        profiles: price lists, the headline's first.
        early: its rule for stopping early; None without one.
        opponent: the conventional network to compare with; None without one.
    """

    checkpoint: CompleteCheckpoint
    measured: Measurement
    images: LabelledImages
    profiles: tuple[HardwareProfile, ...]
    early: EarlyExit | None = None
    opponent: Opponent | None = None


def check_playable(network: Network, encoding: str, n_images: int) -> None:
    """Refuse what the scripts cannot run or price.

    Args:
        network: the network.
        encoding: name of its encoding.
        n_images: test images whose spikes were counted.

    Raises:
        PlaygroundError: the page has no such encoding, layers or neurons, or too few
            images were counted.
    """
    if encoding not in ENCODINGS:
        raise PlaygroundError(
            f"The playground has no encoding {encoding!r}; it has "
            f"{', '.join(ENCODINGS)}."
        )
    if not network.is_plain:
        raise PlaygroundError(
            "The playground runs fully connected layers only, without convolution, "
            "pooling and recurrence."
        )
    if not isinstance(network.neuron, LeakyIntegrateAndFire):
        raise PlaygroundError(
            "The playground runs leaky integrate-and-fire neurons only."
        )
    # Prices are solved from images: so many leave no other solution.
    n_needed = 2 * _n_features(network)
    if n_images < n_needed:
        raise PlaygroundError(
            f"The playground needs the counts of at least {n_needed} test images, and "
            f"there are {n_images}."
        )


def playground_content(inputs: PlaygroundInputs) -> dict[str, Any]:
    """The content of the page.

    Raises:
        PlaygroundError: the scripts cannot run or price the network.
    """
    checkpoint = inputs.checkpoint
    check_playable(
        checkpoint.network, checkpoint.encoder.name, inputs.measured.n_samples
    )
    images = inputs.images.images
    return {
        "images": {
            "height": images.shape[1],
            "width": images.shape[2],
            "inkSide": _ink_side(checkpoint),
            "noun": inputs.images.subject.noun,
            "classes": list(inputs.images.subject.class_names),
        },
        "spiking": _spiking(inputs),
        "conventional": _conventional(inputs.opponent),
        "priceLists": _price_lists(inputs),
        **_gallery(inputs),
    }


def packed(array: NDArray[Any]) -> dict[str, str]:
    """An array as the scripts unpack it: its type in JavaScript, and deflated bytes."""
    name = array.dtype.name.capitalize().replace("int", "Int").replace("UInt", "Uint")
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = zlib.compress(little_endian.tobytes(), level=9)
    return {"type": f"{name}Array", "data": base64.b64encode(data).decode()}


def _ink_side(checkpoint: CompleteCheckpoint) -> float:
    """Pixels that a drawing's ink fits, where images were averaged over squares."""
    return INK_SIDE / averaged_side(checkpoint)


# The spiking network.


def _spiking(inputs: PlaygroundInputs) -> dict[str, Any]:
    encoder = _encoder(inputs)
    seed = inputs.checkpoint.file.spikejoule.seed or 0
    return {
        "layers": _layers(inputs),
        "encoder": _table(encoder),
        "firstLevel": _first_level(encoder),
        "key": str(int(encoder.draw_key(seed, "test", 0))),
        "nSteps": encoder.time_window,
        "stepMs": encoder.step_ms,
        "nTest": len(inputs.images),
        "exit": _exit_rule(inputs.early, encoder.time_window),
    }


def _encoder(inputs: PlaygroundInputs) -> ByLevel:
    encoder = inputs.checkpoint.encoder
    assert isinstance(encoder, ByLevel)  # as are all of ENCODINGS
    return encoder


def _table(encoder: ByLevel) -> dict[str, Any]:
    """What the encoding makes of each of the 256 levels of a pixel."""
    table = encoder.table(INTENSITIES)
    if encoder.name == "poisson":
        return {"type": "poisson", "gapScale": table[0].tolist()}
    if encoder.name == "latency":
        return {"type": "latency", "stepOfLevel": table.tolist()}
    return {"type": "regular", "increments": table.tolist()}


def _first_level(encoder: ByLevel) -> int:
    """The lowest level of a pixel that the ledger counts as one that may fire."""
    threshold = getattr(encoder, "latency_threshold", 0.0)
    return int(np.count_nonzero(threshold >= INTENSITIES))


def _exit_rule(early: EarlyExit | None, n_steps: int) -> dict[str, Any]:
    if early is None:
        return {"rule": "lead", "margin": n_steps + 1}  # which is never reached
    if early.rule == "first_spike":
        return {"rule": "first_spike"}
    return {"rule": "lead", "margin": early.margin_spikes}


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
                "biases": None if biases is None else packed(biases),
                "fanOut": packed(fan_out) if checkpoint.pruned else None,
                "nSources": weights.shape[1],
                "nUnits": weights.shape[0],
                **_neuron(network, number, integers),
            }
        )
    return layers


def _neuron(network: Network, number: int, integers: bool) -> dict[str, Any]:
    """The constants of a layer's neurons, as `scripts/spiking.js` takes them."""
    if integers:
        constants = layer_constants(network)[number - 1]
        return {
            "threshold": constants.threshold,
            "decay": constants.leak,
            "range": [constants.lowest, constants.highest],
            "subtracts": constants.subtracts,
        }
    neuron = network.neurons[number - 1]
    assert isinstance(neuron, LeakyIntegrateAndFire)
    threshold, decay = neuron.constants
    return {
        "threshold": float(np.float32(threshold)),
        "decay": float(np.float32(decay)),
        "range": None,
        "subtracts": neuron.reset == "subtract",
    }


# The conventional network.


def _conventional(opponent: Opponent | None) -> dict[str, Any] | None:
    if opponent is None:
        return None
    counts = opponent.counts
    is_float = counts.weight_bits == FLOAT_BITS
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
                "fanOut": packed(kept) if counts.pruned else None,
                "nSources": weights.shape[1],
                "nUnits": weights.shape[0],
                "requantisation": None if scaling is None else scaling.tolist(),
            }
        )
    ranges = {
        "largestActivation": 2**counts.activation_bits - 1,
        "halfOfSums": 2 ** (counts.sum_bits - 1),
    }
    return {"layers": layers, "integers": None if is_float else ranges}


def _narrow(weights: NDArray[Any]) -> NDArray[Any]:
    """Integers in the narrowest type that holds them; floats as they are."""
    if weights.dtype.kind == "f":
        return weights
    return weights.astype(np.min_scalar_type(-int(np.abs(weights).max()) - 1))


# Prices.


def _price_lists(inputs: PlaygroundInputs) -> list[dict[str, Any]]:
    """What each count costs, and the energy per inference, under each price list.

    Lists that price nothing of the spiking network are left out.
    """
    spiking = _SpikingPrices.of(inputs)
    opponent = inputs.opponent
    conventional = None if opponent is None else _ConventionalPrices.of(opponent)
    weight_bits = inputs.checkpoint.network.weight_bits
    lists = []
    for profile in inputs.profiles:
        entry = {"id": profile.id, "title": profile.title, **spiking.under(profile)}
        if not np.any(entry["spiking"]):
            continue
        if conventional is not None and conventional.compares(profile, weight_bits):
            entry |= conventional.under(profile)
        else:
            entry |= {"conventional": None, "conventionalMean": None}
        lists.append(entry)
    return lists


@dataclass(frozen=True, eq=False)
class _SpikingPrices:
    """The ledger of the spiking network, as a function of an image's counts.

    Attributes:
        whole, stopping: its operations without and with a rule for stopping early.
        whole_means, stopping_means: mean counts of the test images.
        layer_of: the layer of each place in the ledger.
    """

    whole: LinearOperations
    stopping: LinearOperations
    whole_means: NDArray[np.float64]
    stopping_means: NDArray[np.float64]
    layer_of: Mapping[str, int]

    @classmethod
    def of(cls, inputs: PlaygroundInputs) -> "_SpikingPrices":
        measured = inputs.measured
        n_steps = measured.time_window
        first = measured.first(SOLVED_FROM)
        # Images that stop after all kinds of steps tell a count per step from one per
        # image.
        steps = n_steps - np.arange(first.n_samples, dtype=np.int64) * 7 % n_steps
        run = stopped_after(first, steps)
        updates = clocked_updates(measured.network, steps)
        encoding = inputs.checkpoint.encoder.operations(
            inputs.images.images[: first.n_samples], steps
        )
        features = _features(run, steps, inputs)
        # As in the ledger, averaging pixels before they are encoded is paid for.
        side = averaged_side(inputs.checkpoint)
        n_pixels = measured.network.n_input
        without_rule, with_rule = (
            averaging(count_operations(activity, encoding), side, n_pixels)
            for activity in (run.activity(updates), run.activity(updates, steps))
        )
        whole_steps = np.full(measured.n_samples, n_steps)
        exits = _exit_steps(inputs)
        return cls(
            whole=LinearOperations.solve(features, without_rule),
            stopping=LinearOperations.solve(features, with_rule),
            whole_means=_features(measured, whole_steps, inputs).mean(axis=0),
            stopping_means=_features(
                stopped_after(measured, exits), exits, inputs
            ).mean(axis=0),
            layer_of=_layer_of_place(measured.network),
        )

    def under(self, profile: HardwareProfile) -> dict[str, Any]:
        whole = self.whole.prices_pj(profile, self.layer_of)
        stopping = self.stopping.prices_pj(profile, self.layer_of)
        return {
            "spiking": whole.tolist(),
            "spikingMean": (whole @ self.whole_means).sum(axis=0).tolist(),
            "stopping": stopping.tolist(),
            "stoppingMean": (stopping @ self.stopping_means).sum(axis=0).tolist(),
        }


def _features(
    run: Measurement, steps: NDArray[np.int64], inputs: PlaygroundInputs
) -> NDArray[np.int64]:
    """The counts of `spikingFeatures` in `scripts/run.js` for images that stop after
    some steps, [N, F].
    """
    pixels = inputs.images.images[: run.n_samples].reshape(run.n_samples, -1)
    lit = (pixels >= _first_level(_encoder(inputs))).sum(axis=1)
    spikes = [layer.counts_per_sample() for layer in run.layers]
    ones = np.ones_like(steps)
    return np.column_stack(
        [ones, steps, lit, lit * steps, *spikes, run.synaptic_events]
    )


def _n_features(network: Network) -> int:
    """F, the number of counts in `_features`."""
    return 4 + len(network.layers) + len(network.connections)


def _exit_steps(inputs: PlaygroundInputs) -> NDArray[np.int64]:
    """The step after which each test image stops early."""
    measured = inputs.measured
    if inputs.early is None:
        return np.full(measured.n_samples, measured.time_window)
    outcomes = step_outcomes(measured, inputs.images.labels)
    return exit_steps(outcomes, inputs.early.margin_spikes)


@dataclass(frozen=True, eq=False)
class _ConventionalPrices:
    """The ledger of the conventional network, as a function of its products.

    Attributes:
        opponent: the network.
        operations: its operations.
        means: mean counts of the test images.
    """

    opponent: Opponent
    operations: LinearOperations
    means: NDArray[np.float64]

    @classmethod
    def of(cls, opponent: Opponent) -> "_ConventionalPrices":
        ones = np.ones((len(opponent.products), 1), np.int64)
        features = np.hstack([ones, opponent.products])
        operations = LinearOperations.solve(features, opponent.variant.operations)
        return cls(opponent, operations, features.mean(axis=0))

    def compares(self, profile: HardwareProfile, spiking_bits: int) -> bool:
        """Whether a price list compares this network with one of some weight width."""
        return profile.runs(spiking_bits) and judges(profile, self.opponent.variant)

    def under(self, profile: HardwareProfile) -> dict[str, Any]:
        layer_of = _layer_of_place(self.opponent.counts.network)
        prices = self.operations.prices_pj(profile, layer_of)
        return {
            "conventional": prices.tolist(),
            "conventionalMean": (prices @ self.means).sum(axis=0).tolist(),
        }


def _layer_of_place(network: Network | ConventionalNetwork) -> dict[str, int]:
    """The layer of each place in a ledger; a connection is of the layer after it."""
    layers = {name: number for number, name in enumerate(network.layer_names)}
    connections = enumerate(network.connection_names, start=1)
    return layers | {name: number for number, name in connections}


# Test images.


def _gallery(inputs: PlaygroundInputs) -> dict[str, Any]:
    """Test images to choose from, in groups."""
    measured = inputs.measured
    labels = inputs.images.labels
    is_right = measured.predictions == labels
    right = np.flatnonzero(is_right)
    _, first_of_class = np.unique(labels[right], return_index=True)
    by_events = np.argsort(measured.synaptic_events.sum(axis=1), kind="stable")
    groups = {
        "one of each class": right[first_of_class],
        "misclassified": np.flatnonzero(~is_right)[:IN_A_GROUP],
        "fewest synaptic events": by_events[:IN_A_GROUP],
        "most synaptic events": by_events[::-1][:IN_A_GROUP],
    }
    samples = [
        {
            "index": int(inputs.images.index[place]),
            "label": int(labels[place]),
            "group": group,
        }
        for group, places in groups.items()
        for place in places
    ]
    chosen = np.concatenate(list(groups.values()))
    return {"samples": samples, "samplePixels": packed(inputs.images.images[chosen])}
