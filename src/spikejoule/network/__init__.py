"""The network: its shape, its neuron, what was trained, and the files that hold it.

network                  nodes and edges, and what every other package asks of them
neuron, surrogates       the equations of the neuron; gradients of spikes
quantisation, pruning    integers; which synapses there are
torch_twin               the network in PyTorch
trained, checkpoint      what training leaves; the complete checkpoint
"""

from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network

__all__ = ["LearningSettings", "Network"]
