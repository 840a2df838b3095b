"""Lists of spikes: how images become them, how they are stored, how they are counted."""

from spikejoule.spikes.counting import SpikeCounts, count_spikes, predict
from spikejoule.spikes.encoder import Encoder
from spikejoule.spikes.encoding_operations import EncodingOperations
from spikejoule.spikes.events import EventList

__all__ = ["Encoder", "EncodingOperations", "EventList", "SpikeCounts", "count_spikes", "predict"]
