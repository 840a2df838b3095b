"""The neuron models, one file each; `model.neuron` selects one."""

from spikejoule.core.parameters import Kinds
from spikejoule.network.neuron import Neuron

NEURONS: Kinds[Neuron] = Kinds("neuron", Neuron, __name__)
