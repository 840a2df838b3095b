"""What the page shows of a run: networks, counts, titles and test images.

A record of it is plain JSON. Prices are added when a page is made (`page`).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spikejoule.core.schema import Record
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.early_exit import step_outcomes
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.playground.gallery import gallery
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.networks import conventional_network, spiking_network
from spikejoule.playground.operations import (
    conventional_operations,
    n_features,
    spiking_operations,
    steps_at_exit,
)
from spikejoule.playground.opponent import CHOSEN_AS
from spikejoule.playground.prices import LinearOperations, PlaygroundError
from spikejoule.report.names import named

ENCODINGS: Final = ("binary", "latency", "poisson", "regular")
"""The encodings that `scripts/encoders.js` has."""

INK_SIDE: Final = 20
"""Of the box that the ink of MNIST's images fits, in pixels."""


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
    n_needed = 2 * n_features(network)
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
        "spiking": spiking_network(inputs),
        "conventional": conventional_network(opponent),
        **gallery(inputs),
    }
    weight_bits = [checkpoint.network.weight_bits]
    if opponent is not None:
        weight_bits.append(opponent.variant.weight_bits)
    whole, stopping = spiking_operations(inputs)
    return PlaygroundRecord(
        shown=shown,
        whole=whole,
        stopping=stopping,
        conventional=None if opponent is None else conventional_operations(opponent),
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
            profile.eligibility.scope_compares
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
            "isOfChip": not profile.eligibility.scope_compares,
        }
        for kind, operations in kinds.items():
            entry[kind] = operations and operations.prices_pj(profile).tolist()
            entry[f"{kind}Mean"] = operations and operations.mean_pj(profile).tolist()
        entry["note"] = record.notes.get(profile.id, "")
        lists.append(entry)
    return lists


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
    steps = steps_at_exit(inputs)
    right_at_exit = outcomes.correct[np.arange(len(steps)), steps - 1]
    opponent = inputs.opponent
    return {
        "spiking": 100 * float(right.mean()),
        "stopping": 100 * float(right_at_exit.mean()),
        "conventional": None if opponent is None else opponent.counts.accuracy_percent,
    }
