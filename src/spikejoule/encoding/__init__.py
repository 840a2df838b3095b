"""Lists of spikes: how samples become them, their files, and counting them.

events         event lists: the spikes of a layer, or constant currents; their files
encoder        the interface of an encoder, and the operations of encoding
encoders       the encoders, one file each
kernels        compiled loops that emit spikes
binning        time-stamped events of a sensor, brought to steps
counting       spikes by sample, step and neuron; the predicted class
encoded_files  files of encoded samples, with the encoder that made them
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
