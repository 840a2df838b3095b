"""What an engine takes as its input."""

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.model.architecture import Architecture
from spikejoule.model.quantisation import NO_CURRENTS


def check_input(events: EventList, architecture: Architecture) -> None:
    """Raise ArtifactError unless the network can run on this input."""
    if events.n_inputs != architecture.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} inputs, the network has {architecture.n_input}"
        )
    if events.currents is not None and architecture.quantisation is not None:
        raise ArtifactError(f"the network has integer weights: {NO_CURRENTS}")
