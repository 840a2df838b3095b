"""Networks: their structure, their neurons, and the files that store trained ones.

nodes, graph                nodes, and the graph of nodes and edges
layers                      hidden layers as words; the graph of a chain of layers
network                     the spiking network that is trained
params                      the section `model` of params.yaml
readout                     how the output answers: by spikes or potentials
imported, conventional      graphs from elsewhere; ReLU networks
by_layer                    parameters of one number, or one for each layer
neuron, neurons             the interface of a neuron model; the models
surrogates, learning        surrogate gradients; loss and optimizer
quantisation, integers      the rules of integer networks; their integers
pruning                     which synapses are removed, and when
torch_twin                  the spiking network in PyTorch
checkpoint, sections        a checkpoint, read and written; the sections of its file
trained                     the checkpoint of a training and of measurements
"""
