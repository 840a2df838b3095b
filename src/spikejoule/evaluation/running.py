"""Running a trained network on spikes, and reading the two from their files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.data.images import Samples, samples_sha256
from spikejoule.encoding.codes import load_encoded_images
from spikejoule.encoding.events import EventList
from spikejoule.engine import run_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.architecture import Architecture
from spikejoule.model.checkpoint import TrainedNetwork, load_trained


def measure_network(
    state: Mapping[str, NDArray[np.float32]],
    architecture: Architecture,
    events: EventList,
    engine: str = "auto",
    pruned: bool = False,
) -> Measurement:
    """Run the network on the input spikes [N, T, I].

    `pruned` says whether a weight of zero is a synapse that was removed.

    Raises ArtifactError if the events come from another number of inputs than the network has, or
    hold no sample.
    """
    if events.n_inputs != architecture.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} inputs, but the network has "
            f"{architecture.n_input}: encode images of the size that it was trained on."
        )
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    layers = (events, *run_network(state, architecture, events, engine=engine))
    return Measurement.of(state, architecture, layers, pruned)


def load_network_and_events(
    network_path: Path, events_path: Path, samples: Samples | None = None
) -> tuple[TrainedNetwork, EventList]:
    """Read a trained network and the events to run it on, and check that they belong together.

    `samples`, if given, are those that the events must encode. Raises ArtifactError if a file is
    missing or damaged, if the events have another number of inputs, another window, another maximum
    rate or another code than the network was trained on, or if they encode other images.
    """
    network = load_trained(network_path)
    events, code = load_encoded_images(events_path)
    n_input = network.architecture.n_input
    if events.n_inputs != n_input:
        raise ArtifactError(
            f"{events_path} holds events from {events.n_inputs} inputs, but {network_path} was "
            f"trained on {n_input}: encode and train again from the same parameters."
        )
    found = code.encoder.entry()
    for key, needed in network.encoder.entry().items():
        if found.get(key) != needed:
            raise ArtifactError(
                f"{events_path} was encoded with {key} {found.get(key)}, but {network_path} was "
                f"trained with {needed}: encode and train again from the same parameters."
            )
    if samples is not None and code.images_sha256 != samples_sha256(samples):
        raise ArtifactError(
            f"{events_path} ({events.n_samples:,} samples) does not encode the {len(samples):,} "
            "images that it is to be compared with: run the encode stage again."
        )
    return network, events
