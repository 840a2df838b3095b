"""Lists of spikes: how images become them, how they are stored, how they are
counted.
"""

from spikejoule.encoding.counting import SpikeCounts, count_spikes, predict
from spikejoule.encoding.encoder import Encoder, EncodingOperations
from spikejoule.encoding.events import EventList

__all__ = [
    "Encoder",
    "EncodingOperations",
    "EventList",
    "SpikeCounts",
    "count_spikes",
    "predict",
]
