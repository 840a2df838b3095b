"""The event engine as a differentiable function of PyTorch tensors, for any model.

dynamics     the neurons of a layer as data
chain        the layers of a model as data
function     both passes as a `torch.autograd.Function`
passes       both passes on arrays
plan         the places of a chain's weights, neurons and spikes in memory
kernels      the compiled functions

The forward pass keeps potentials and spikes; the backward pass takes the gradient of
the loss by the output and returns that by every parameter.
"""
