"""What the playground knows of a run: networks, counts, and test images to choose from.

A record of it is plain JSON, with arrays deflated and written as base64. Prices are
added when a page is made (`page`).
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.schema import Record
from spikejoule.counts.measurement import Measurement, clocked_updates
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoder import INTENSITIES, ByLevel
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.accuracy import (
    EarlyExit,
    exit_steps,
    step_outcomes,
    stopped_after,
)
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import integers_of, layer_constants
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.playground.opponent import (
    CHOSEN_AS,
    Opponent,
)
from spikejoule.playground.prices import LinearOperations, PlaygroundError
from spikejoule.report.names import named

ENCODINGS: Final = ("latency", "poisson", "regular")
"""The encodings that `scripts/encoders.js` has."""

SOLVED_FROM: Final = 1000
"""Test images from which the prices of counts are solved."""

IN_A_GROUP: Final = 16
"""Test images in a group of the gallery."""

INK_SIDE: Final = 20
"""Of the box that the ink of MNIST's images fits, in pixels."""


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
        notes: what the energy report says, by the id of a price list.
    """

    checkpoint: Checkpoint
    measured: Measurement
    images: LabelledImages
    profiles: tuple[HardwareProfile, ...]
    early: EarlyExit | None = None
    opponent: Opponent | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class PlaygroundRecord(Record):
    """What a page shows, without prices.

    Attributes:
        shown: networks, test images and titles, as the scripts read them.
        whole, stopping: operations of the spiking network without and with a rule for
            stopping early.
        conventional: operations of the conventional network; None without one.
        weight_bits: width of the weights of each network.
        notes: what the energy report says, by the id of a price list.
    """

    shown: dict[str, Any]
    whole: LinearOperations
    stopping: LinearOperations
    conventional: LinearOperations | None
    weight_bits: list[int]
    notes: dict[str, str]


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
            f"The playground does not support {encoding!r}; it supports "
            f"{', '.join(ENCODINGS)}."
        )
    if not network.is_plain:
        raise PlaygroundError(
            "The playground runs fully connected layers only, without convolution, "
            "pooling or recurrence."
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


def playground_record(inputs: PlaygroundInputs) -> PlaygroundRecord:
    """Record what a page shows.

    Raises:
        PlaygroundError: the scripts cannot run or price the network.
    """
    checkpoint = inputs.checkpoint
    check_playable(
        checkpoint.network, checkpoint.encoder.name, inputs.measured.n_samples
    )
    images = inputs.images.images
    opponent = inputs.opponent
    shown = {
        "images": {
            "height": images.shape[1],
            "width": images.shape[2],
            "inkSide": INK_SIDE,
            "noun": inputs.images.subject.noun,
            "classes": list(inputs.images.subject.class_names),
        },
        "titles": _titles(inputs),
        "accuracies": _accuracies(inputs),
        "spiking": _spiking(inputs),
        "conventional": _conventional(opponent),
        **_gallery(inputs),
    }
    weight_bits = [checkpoint.network.weight_bits]
    if opponent is not None:
        weight_bits.append(opponent.variant.weight_bits)
    whole, stopping = _spiking_operations(inputs)
    return PlaygroundRecord(
        shown=shown,
        whole=whole,
        stopping=stopping,
        conventional=None if opponent is None else _conventional_operations(opponent),
        weight_bits=weight_bits,
        notes=dict(inputs.notes),
    )


def price_lists(
    record: PlaygroundRecord, profiles: Sequence[HardwareProfile]
) -> list[dict[str, Any]]:
    """What each count costs, and the energy per inference, under each price list.

    Lists that price nothing of the spiking network are left out.
    """
    lists = []
    for profile in profiles:
        if not record.whole.are_priced_by(profile):
            continue
        conventional = record.conventional
        # As `energy.ledger.judges` says.
        compares = (
            profile.eligibility.compares
            and all(profile.eligibility.runs(bits) for bits in record.weight_bits)
            and conventional is not None
            and conventional.are_priced_by(profile)
        )
        kinds = {
            "spiking": record.whole,
            "stopping": record.stopping,
            "conventional": conventional if compares else None,
        }
        entry: dict[str, Any] = {
            "id": profile.id,
            "title": profile.title,
            "isOfChip": not profile.eligibility.compares,
        }
        for kind, operations in kinds.items():
            entry[kind] = operations and operations.prices_pj(profile).tolist()
            entry[f"{kind}Mean"] = operations and operations.mean_pj(profile).tolist()
        entry["note"] = record.notes.get(profile.id, "")
        lists.append(entry)
    return lists


def packed(array: NDArray[Any]) -> dict[str, str]:
    """An array as the scripts unpack it: its type in JavaScript, and deflated bytes."""
    name = array.dtype.name.capitalize().replace("int", "Int").replace("UInt", "Uint")
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = zlib.compress(little_endian.tobytes(), level=9)
    return {"type": f"{name}Array", "data": base64.b64encode(data).decode()}


def _titles(inputs: PlaygroundInputs) -> dict[str, str | None]:
    """The networks and the rule for stopping early, in words."""
    network = inputs.checkpoint.network
    percent = 100 * float((inputs.measured.predictions == inputs.images.labels).mean())
    bits = "" if network.weight_bits == FLOAT_BITS else f", {network.weight_bits}-bit"
    encoding = inputs.checkpoint.encoder.name
    opponent = inputs.opponent
    conventional = None
    if opponent is not None:
        conventional = (
            f"{named(opponent.variant)}, {opponent.counts.accuracy_percent:.2f} % of "
            "the test images correct"
        )
    return {
        "data": inputs.checkpoint.file.spikejoule.data["title"],
        "spiking": f"{network.sizes} ({encoding}){bits}, {percent:.2f} % of the test "
        "images correct",
        "conventional": conventional,
        "chosenAs": None if opponent is None else CHOSEN_AS,
        "exitRule": None if inputs.early is None else inputs.early.rule_in_words,
    }


def _accuracies(inputs: PlaygroundInputs) -> dict[str, float | None]:
    """Accuracies on the test images, in percent."""
    right = inputs.measured.predictions == inputs.images.labels
    outcomes = step_outcomes(inputs.measured, inputs.images.labels)
    steps = _exit_steps(inputs)
    right_at_exit = outcomes.correct[np.arange(len(steps)), steps - 1]
    opponent = inputs.opponent
    return {
        "spiking": 100 * float(right.mean()),
        "stopping": 100 * float(right_at_exit.mean()),
        "conventional": None if opponent is None else opponent.counts.accuracy_percent,
    }


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


# Operations.


def _spiking_operations(
    inputs: PlaygroundInputs,
) -> tuple[LinearOperations, LinearOperations]:
    """The ledger of the spiking network without and with a rule for stopping early."""
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
    without_rule, with_rule = (
        count_operations(replace(activity, encoding=encoding))
        for activity in (run.activity(updates), run.activity(updates, steps))
    )
    features = _features(run, steps, inputs)
    whole_steps = np.full(measured.n_samples, n_steps)
    whole_means = _features(measured, whole_steps, inputs).mean(axis=0)
    exits = _exit_steps(inputs)
    stopped = stopped_after(measured, exits)
    stopping_means = _features(stopped, exits, inputs).mean(axis=0)
    layer_of = _layer_of_place(measured.network)
    return (
        LinearOperations.solve(features, without_rule, layer_of, whole_means),
        LinearOperations.solve(features, with_rule, layer_of, stopping_means),
    )


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


def _conventional_operations(opponent: Opponent) -> LinearOperations:
    """The ledger of the conventional network."""
    ones = np.ones((len(opponent.products), 1), np.int64)
    features = np.hstack([ones, opponent.products])
    return LinearOperations.solve(
        features,
        opponent.variant.operations,
        _layer_of_place(opponent.counts.network),
        features.mean(axis=0),
    )


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
