"""Lists of spikes: how images become them, how they are stored, how they are counted."""

from spikejoule.spikes.counting import SpikeCounts, count_spikes, predict
from spikejoule.spikes.encoder import Encoder
from spikejoule.spikes.events import EventList

__all__ = ["Encoder", "EventList", "SpikeCounts", "count_spikes", "predict"]
