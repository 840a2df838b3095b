"""The network: its shape, its neuron, what was trained, and the files that hold it.

architecture, neuron, surrogates  layer sizes; the equations of the neuron; gradients of spikes
quantisation, pruning             integers; which synapses there are, and how many a spike reaches
network                           the network in PyTorch
trained, checkpoint               what training leaves; the complete checkpoint
"""

from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import LearningSettings

__all__ = ["Architecture", "LearningSettings"]
