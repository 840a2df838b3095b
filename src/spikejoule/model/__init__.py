"""The network: its shape, its neuron, what was trained, and the files that hold it.

architecture, neuron, surrogate   layer sizes; the equations of the neuron; gradients of spikes
pruning, fan_out                  which synapses there are, and how many a spike reaches
network                           the network in PyTorch
trained, trained_file             what training leaves
complete, complete_file, checkpoint   the complete checkpoint
"""

from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import LearningSettings

__all__ = ["Architecture", "LearningSettings"]
