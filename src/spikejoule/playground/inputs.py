"""What a run knows of its networks and test images."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import LabelledImages
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.playground.opponent import Opponent


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
