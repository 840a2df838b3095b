"""The neuron models, a file each; `model.neuron` chooses one."""

from spikejoule.core.parameters import Kinds
from spikejoule.network.neuron import Neuron

NEURONS: Kinds[Neuron] = Kinds("neuron", Neuron, __name__)
