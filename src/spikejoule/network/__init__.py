"""The network: its nodes, its neuron, what was trained, and the files that hold it.

nodes, graph                nodes, and edges between them network, layers
layers of spiking neurons, which are trained; `model.layers` in words imported,
conventional      graphs that were not trained here; ReLU networks neuron, neurons
what a neuron is; the neuron models surrogates, learning        gradients of spikes;
loss and optimizer quantisation, integers      the rule of integer networks; their
integers
pruning                     which synapses there are
torch_twin                  the network in PyTorch
trained, checkpoint         what training leaves; the complete checkpoint
"""

from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network

__all__ = ["LearningSettings", "Network"]
