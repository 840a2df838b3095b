"""The section `encode` of params.yaml."""

from spikejoule.core.parameters import ParameterSection, chooses
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders import ENCODERS


@chooses(ENCODERS)
class EncodeParams(ParameterSection):
    """How images become spikes: an encoding and its parameters."""

    encoding: str
    time_window: int
    window_ms: float

    @property
    def encoder(self) -> Encoder:
        """The encoding with its parameters."""
        return ENCODERS.chosen_in(self)
